"""What would become of a call, as a command beside the bridge knows: by the configuration and what is written down."""

from datetime import datetime

from bridge.app.added_entries import read_entries
from bridge.app.cash_book import booking_of
from bridge.app.live_plan import LivePlan
from bridge.app.plan import limits, menu_choices
from bridge.app.trunk_service import narrowed
from bridge.config import Config
from bridge.core.ids import UserId
from bridge.numbers.explain import Explanation, Question, explain
from bridge.numbers.explain_called import explain_called
from bridge.numbers.ledger import Ledger
from bridge.numbers.standing import Standing
from bridge.store.administration import stored_entries
from bridge.store.caller import stored_caller


def explain_beside(config: Config, question: Question) -> Explanation:
    """Of a call by a Matrix user. Raises `TrunklineError`."""
    standing = _standing(config, question.user, datetime.now().astimezone())
    return explain(_plan(config).numbers(), question, standing, currency=config.permissions.currency)


def explain_called_beside(config: Config, called: str) -> Explanation:
    """Of a call by a phone. Raises `TrunklineError`."""
    plan = _plan(config)
    moment = datetime.now(plan.time_zone())
    return explain_called(plan.numbers(), plan.groups(), called, moment, menus=menu_choices(config))


def _plan(config: Config) -> LivePlan:
    """With what was set over the admin API."""
    plan = LivePlan(config)
    plan.add(plan.added_to(read_entries(config, stored_entries(config.store.path))))
    return plan


def _standing(config: Config, user: UserId, moment: datetime) -> Standing:
    today = moment.date()
    known = stored_caller(config.store.path, user, since=today.replace(day=1).isoformat())
    ledger = Ledger(limits=limits(config))
    ledger.load(map(booking_of, known.uses))
    until = known.suspended_until
    return Standing(
        ledger=ledger,
        day=today,
        withheld=known.withheld,
        suspended_until=until if until is not None and until > moment.timestamp() else None,
        narrow=lambda decision: narrowed(decision, lambda trunk: trunk not in known.trunks_out),
    )
