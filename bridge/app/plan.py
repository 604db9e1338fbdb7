"""The configuration as the values that calls and numbers understand."""

from collections.abc import Callable, Mapping

from bridge.app.directory import MAX_ATTENDED_OF_A_TRUNK
from bridge.app.suspensions import SuspensionRule
from bridge.app.text_desk import TextSide
from bridge.app.transfer_desk import TrunkSide
from bridge.calls.menu import MenuPlan
from bridge.calls.message import MessageBox
from bridge.calls.times import CallTimes
from bridge.config import Config
from bridge.config.additions import GrantedPermission
from bridge.config.dialling import emergency, limit_of
from bridge.config.menus import extension_starts
from bridge.config.model import DialRuleConfig, EarlyMedia, TrunkConfig
from bridge.config.voicemail import Unanswered
from bridge.core.ids import GroupName, MenuName, TrunkName, UserId
from bridge.core.presence import RingWhen
from bridge.numbers.abuse import Thresholds
from bridge.numbers.dial_plan import DialRule
from bridge.numbers.groups import Group
from bridge.numbers.limits import Limit
from bridge.numbers.money import Tariff, parse_price
from bridge.numbers.permission import Permission, belongs
from bridge.numbers.policy import NumberPlan, TrunkChoice
from bridge.sip.settings import Dtmf

_UNANSWERED = {Unanswered.HOMESERVER: ("homeserver_unreachable", "homeserver_refused")}
"""The verdicts behind a word of the configuration, where they are not called the same."""
_MESSAGE_SLACK_S = 30.0


def number_plan(config: Config) -> NumberPlan:
    """Who may call what, which trunks there are, and whose number is whose."""
    return NumberPlan(
        default_region=config.numbers.default_region,
        regions=config.numbers.regions,
        permissions=tuple(
            Permission(
                who=entry.who,
                prefixes=entry.prefixes,
                but_not=entry.but_not,
                costly=entry.costly,
                trunk=TrunkName(entry.trunk) if entry.trunk else None,
                name=entry.name if isinstance(entry, GrantedPermission) else "",
            )
            for entry in config.permissions.outbound
        ),
        rules=tuple(_dial_rule(entry) for entry in config.numbers.dial_plan),
        trunks=tuple(_trunk_choice(name, trunk) for name, trunk in config.trunks.items()),
        inbound={number: entry.reach for number, entry in config.numbers.inbound.items()},
        caller_ids=config.numbers.caller_ids,
        emergency=emergency(config),
    )


def groups(config: Config) -> Mapping[GroupName, Group]:
    """Who rings for which group."""
    return {GroupName(name): entry.group for name, entry in config.groups.items()}


def max_attended(trunk: TrunkConfig | None) -> int:
    """How many calls of a trunk menus and message boxes may hold: by default people keep half of it."""
    if trunk is None or not (trunk.max_attended or trunk.max_calls):
        return MAX_ATTENDED_OF_A_TRUNK
    return trunk.max_attended or (trunk.max_calls + 1) // 2


def _dial_rule(entry: DialRuleConfig) -> DialRule:
    return DialRule(
        prefixes=entry.prefixes,
        pattern=entry.pattern,
        trunks=tuple(TrunkName(name) for name in entry.trunks),
        choose=entry.choose,
        weights={TrunkName(name): weight for name, weight in entry.weights.items()},
    )


def _trunk_choice(name: TrunkName, trunk: TrunkConfig) -> TrunkChoice:
    return TrunkChoice(
        name=name,
        caller_id=trunk.caller_id,
        verified=frozenset(trunk.caller_ids),
        tariff=Tariff(per_minute=trunk.rates, step_s=trunk.rate_step_s) if trunk.rates else None,
        emergency=trunk.emergency,
        joins_crossing_calls=trunk.join_crossing_calls,
        answers_early=trunk.early_media is EarlyMedia.ANSWER,
        forwards=trunk.forwards,
        voicemail=trunk.voicemail_number,
    )


def limits(config: Config) -> tuple[Limit, ...]:
    """How much users may call."""
    return tuple(limit_of(entry) for entry in config.permissions.limits)


def thresholds(config: Config) -> Thresholds:
    """From when on calls look like fraud."""
    rule = config.permissions.suspension
    return Thresholds(countries=rule.countries, sequential=rule.sequential, short_calls=rule.short_calls)


def suspension_rule(config: Config) -> SuspensionRule:
    """What is done about it."""
    admins = tuple(UserId(user) for user in config.permissions.admins)
    return SuspensionRule(hours=config.permissions.suspension.hours, admins=admins)


def call_times(config: Config) -> CallTimes:
    """Time limits of a call."""
    return CallTimes(
        ring_s=config.calls.ring_timeout_s,
        connect_s=config.media.connect_timeout_s + 10,
        decline_status=config.calls.decline_status,
    )


def ring_rule(
    config: Callable[[], Config], chosen: Callable[[UserId], RingWhen | None]
) -> Callable[[UserId], RingWhen]:
    """What each user's presence has to be for a call to ring: what the user chose, else the configuration's word.

    Where the configuration says nothing of presence, nobody is told it, and all are rung.
    """

    def of(user: UserId) -> RingWhen:
        rules = config().calls.ring_when
        if not rules:
            return RingWhen.ALWAYS
        return chosen(user) or rules.get(user) or rules.get(user.partition(":")[2]) or RingWhen.ALWAYS

    return of


def message_reasons(config: Config, user: UserId) -> tuple[str, ...] | None:
    """Why a call is over for which a user takes a message; `None` for who takes none."""
    if not belongs(user, config.voicemail.users):
        return None
    return tuple(reason for when in config.voicemail.when for reason in _UNANSWERED.get(when, (when.value,)))


def message_box_rule(
    config: Callable[[], Config], greeting_s: Callable[[], float]
) -> Callable[[UserId], MessageBox | None]:
    """Which users take messages, and of which calls."""

    def of(user: UserId) -> MessageBox | None:
        if (reasons := message_reasons(config(), user)) is None:
            return None
        longest_s = config().voicemail.longest_s
        return MessageBox(reasons=reasons, longest_s=longest_s, limit_s=greeting_s() + longest_s + _MESSAGE_SLACK_S)

    return of


def menu_plans(config: Config, edition: int = 0) -> Mapping[MenuName, MenuPlan]:
    """The spoken menus; `edition` is that of their sounds."""
    starts = extension_starts(config.numbers.inbound)
    return {
        MenuName(name): MenuPlan(
            name=name,
            choices={key: str(target) for key, target in menu.digits.items()},
            otherwise="" if menu.otherwise is None else str(menu.otherwise),
            timeout_s=menu.timeout_s,
            repeats=menu.repeats,
            extensions=starts if menu.dial_extensions else "",
            edition=edition,
        )
        for name, menu in config.menus.items()
    }


def menu_choices(config: Config) -> Mapping[MenuName, Mapping[str, str]]:
    """What the keys of menus lead to, in words."""
    return {
        name: {**menu.choices, "otherwise": menu.otherwise or "the call ends"}
        for name, menu in menu_plans(config).items()
    }


def text_sides(config: Config) -> Mapping[TrunkName, TextSide]:
    """Which trunks take text messages, and for how much; one without any prices charges nothing."""
    return {
        name: TextSide(
            texting=trunk.texts,
            price=parse_price(trunk.text_price) if trunk.text_price else None if trunk.rates else 0,
        )
        for name, trunk in config.trunks.items()
    }


def trunk_sides(config: Config) -> Mapping[TrunkName, TrunkSide]:
    """Which addresses are whose, and how keys come from there."""
    return {
        name: TrunkSide(
            hosts=frozenset({trunk.server.host.lower(), trunk.domain.lower()} - {""}),
            networks=trunk.sources,
            keys_by_signalling=trunk.dtmf is Dtmf.INFO,
            refers=trunk.accept_transfers,
        )
        for name, trunk in config.trunks.items()
    }
