"""What the bridge says aloud to a user: one short sentence for each reason, and for emergencies in many languages."""

import enum
from collections.abc import Mapping

from bridge.numbers.limits import CALLS_AT_ONCE, LIMIT_REACHED, SUSPENDED
from bridge.numbers.refusals import NO_EMERGENCY_CALLS


class Spoken(enum.StrEnum):
    """What is said aloud, by the reason of the verdict that is explained so."""

    EMERGENCY_REFUSED = NO_EMERGENCY_CALLS.reason
    LIMIT_REACHED = LIMIT_REACHED.reason
    LIMIT_NEAR = "limit_near"
    """Said in a call that will be ended soon; no verdict has this reason."""
    CALLS_AT_ONCE = CALLS_AT_ONCE.reason
    SUSPENDED = SUSPENDED.reason


SENTENCES: Mapping[Spoken, str] = {
    Spoken.LIMIT_REACHED: "You have reached the limit of your calls to the telephone network.",
    Spoken.LIMIT_NEAR: "This call will end soon.",
    Spoken.CALLS_AT_ONCE: "You already have as many calls at once as you may. Please end one first.",
    Spoken.SUSPENDED: "Your calls to the telephone network have been suspended. Please ask your administrator.",
}
"""In English, as all that the bridge writes."""

ENGLISH = "en"
EMERGENCY: Mapping[str, str] = {
    "en": "This service cannot reach emergency services. Use another telephone now.",
    "cs": "Tato služba neumožňuje tísňové volání. Použijte ihned jiný telefon.",
    "da": "Denne tjeneste kan ikke ringe til alarmcentralen. Brug straks en anden telefon.",
    "de": "Über diesen Dienst ist kein Notruf möglich. Benutzen Sie sofort ein anderes Telefon.",
    "es": "Este servicio no permite llamar a emergencias. Utilice otro teléfono ahora mismo.",
    "fi": "Tällä palvelulla ei voi soittaa hätänumeroon. Käytä heti toista puhelinta.",
    "fr": "Ce service ne permet pas d'appeler les secours. Utilisez immédiatement un autre téléphone.",
    "it": "Questo servizio non può chiamare i numeri di emergenza. Usi subito un altro telefono.",
    "nb": "Denne tjenesten kan ikke ringe nødnumre. Bruk en annen telefon med en gang.",
    "nl": "Met deze dienst kunt u geen alarmnummer bellen. Gebruik meteen een andere telefoon.",
    "pl": "Ta usługa nie umożliwia połączeń z numerami alarmowymi. Użyj natychmiast innego telefonu.",
    "pt": "Este serviço não permite ligar para os serviços de emergência. Use outro telefone agora.",
    "sv": "Den här tjänsten kan inte nå larmnumret. Använd genast en annan telefon.",
}
"""By language (ISO 639-1)."""

_REGIONS = {
    "cs": "CZ",
    "da": "DK",
    "de": "DE AT CH LI LU",
    "es": "ES AR BO CL CO CR CU DO EC GT HN MX NI PA PE PR PY SV UY VE",
    "fi": "FI",
    "fr": "FR BE MC",
    "it": "IT SM VA",
    "nb": "NO",
    "nl": "NL SR",
    "pl": "PL",
    "pt": "PT AO BR MZ",
    "sv": "SE",
}


def language_of(region: str) -> str:
    """The language in which most people of a region (ISO 3166) would call for help, as far as we have words in it."""
    return next((language for language, regions in _REGIONS.items() if region in regions.split()), ENGLISH)
