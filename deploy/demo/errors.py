"""What can go wrong in the demo, said so that a person knows what to do next."""


class DemoError(Exception):
    """The demo cannot go on; the text is for the terminal and says what happened and what helps."""


def explanations(error: BaseException) -> list[str]:
    """The texts of all :class:`DemoError` in an error or group; anything else in it is a bug and is raised again."""
    if isinstance(error, BaseExceptionGroup):
        return [text for member in error.exceptions for text in explanations(member)]
    if isinstance(error, DemoError):
        return [str(error)]
    raise error
