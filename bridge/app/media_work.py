"""Carries out what a call wants of its media session, one thing after the other, and reports the results as events."""

from collections.abc import Awaitable, Callable
from typing import Protocol, assert_never

import structlog

from bridge.app.lane import LaneFull
from bridge.app.live_call import NOTHING, LiveCall
from bridge.calls import announcement_commands as acmd
from bridge.calls import events as ev
from bridge.calls import handover_commands as hcmd
from bridge.calls import handover_events as hev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import menu_commands as ncmd
from bridge.calls import message_commands as mcmd
from bridge.calls import message_events as mev
from bridge.calls import outcomes
from bridge.calls import transfer_events as tev
from bridge.calls.announcement_events import AnnouncementReady
from bridge.calls.call import Call
from bridge.calls.menu import Prompt
from bridge.core.errors import CallError
from bridge.core.ids import CallId, TrunkName, UserId
from bridge.core.telemetry import Telemetry
from bridge.media.engine import Ear, IceCandidate, MediaEngine, MediaSession
from bridge.media.policy import SipMediaPolicy
from bridge.media.recording import RecordingRequest
from bridge.media.sounds import Sound

log = structlog.get_logger(__name__)

Feed = Callable[[LiveCall, ev.Event], None]
Find = Callable[[CallId], LiveCall | None]

MediaCommand = (
    medcmd.MediaCommand
    | hcmd.DropMatrixMedia
    | hcmd.JoinMedia
    | mcmd.MessageCommand
    | acmd.AnnouncementCommand
    | ncmd.MenuMediaCommand
)


_OF_A_SECOND_PHONE = medcmd.WriteTransferOffer | medcmd.TakeTransferAnswer | medcmd.AnswerReplacement
_ASKED_BY_STRANGERS = (
    medcmd.AddCandidates
    | medcmd.AnswerReoffer
    | medcmd.AnswerMatrixReoffer
    | medcmd.TakeSipAnswer
    | medcmd.WriteSipReoffer
    | medcmd.PlayKeys
    | _OF_A_SECOND_PHONE
)
_OTHER_SOUNDS = mcmd.PlayGreeting | mcmd.StopSound | ncmd.PlayPrompt | ncmd.PlayRingback | acmd.Announce


class MessagePort(Protocol):
    """What phones hear and where their messages go; `bridge.app.message_desk.MessageDesk` has it."""

    def greeting(self, user: UserId) -> Sound: ...

    def hold_place(self, call: Call) -> None: ...

    async def make_sure(self, *, longest_s: float) -> None: ...

    async def begin(self, call: Call, *, longest_s: float) -> RecordingRequest: ...

    async def never_begun(self, call: Call) -> None: ...


class VoicePort(Protocol):
    """What users hear of the bridge itself; `bridge.app.announcements.Announcements` has it."""

    def sound(self, reason: str, user: UserId) -> Sound: ...


class PromptPort(Protocol):
    """What phones hear in menus; `bridge.app.prompts.Prompts` has it."""

    def prompt(self, menu: str, prompt: Prompt, edition: int) -> Sound: ...

    def ringback(self, trunk: TrunkName) -> Sound: ...


class MediaWork:
    """Each command runs in the call's media lane; `feed` gets its result."""

    def __init__(
        self,
        engine: MediaEngine,
        policy_of: Callable[[TrunkName], SipMediaPolicy],
        feed: Feed,
        find: Find,
        telemetry: Telemetry,
        messages: MessagePort,
        voice: VoicePort,
        prompts: PromptPort,
    ) -> None:
        self._engine = engine
        self._voice = voice
        self._prompts = prompts
        self._messages = messages
        self._find = find
        self._policy_of = policy_of
        self._feed = feed
        self._telemetry = telemetry

    def submit(self, live: LiveCall, command: MediaCommand) -> None:
        """Queue a command. Raises `LaneFull` when the other side asks for more than can be done."""
        if live.media_lane.full and isinstance(command, _ASKED_BY_STRANGERS):
            raise LaneFull
        if isinstance(command, _OTHER_SOUNDS):
            # The end of what plays until then may be on its way to us, and is not that of the new one.
            live.playing = live.played = NOTHING
        live.media_lane.submit(lambda: self._run(live, command))

    async def _run(self, live: LiveCall, command: MediaCommand) -> None:
        """Never raises: whatever goes wrong becomes an event of the call."""
        if live.call.ended and not isinstance(command, medcmd.CloseMedia):
            return
        try:
            await self._carry_out(live, command)
        except CallError as error:
            self._refused(live, command, error)
        except Exception:
            log.exception("media_command_failed", command=type(command).__name__)
            self._telemetry.count("internal_errors_total", component="media")
            self._feed(live, ev.Aborted(verdict=outcomes.INTERNAL_ERROR))

    def _refused(self, live: LiveCall, command: MediaCommand, error: CallError) -> None:
        log.info("media_refused", reason=error.verdict.reason, detail=error.detail)
        if isinstance(command, medcmd.AnswerReoffer):
            self._feed(live, medev.ReofferRefused(verdict=error.verdict))
        elif isinstance(command, medcmd.AnswerMatrixReoffer):
            self._feed(live, medev.MatrixReofferRefused())
        elif isinstance(command, acmd.Announce) and live.call.told is None:
            # A warning before a limit, which stands in the room as well: the call goes on without it.
            return
        elif isinstance(command, _OF_A_SECOND_PHONE):
            self._feed(live, tev.TransferMediaRefused(status=error.verdict.sip_status))
        else:
            self._feed(live, medev.MediaRefused(verdict=error.verdict))

    async def _carry_out(self, live: LiveCall, command: MediaCommand) -> None:
        match command:
            case medcmd.WriteSipOffer():
                await self._write_sip_offer(live, command)
            case medcmd.WriteMatrixAnswer():
                await self._write_matrix_answer(live, command)
            case medcmd.TakeSipOffer():
                await (await self._session(live)).set_sip_offer(command.sip_sdp)
            case medcmd.WriteMatrixOffer() if live.call.our_offer is None:
                session = await self._session(live)
                self._feed(live, medev.MatrixOfferReady(sdp=await session.create_matrix_offer()))
            case medcmd.WriteMatrixOffer():
                # Asked for twice, by somebody who was given up meanwhile: the first of the two is what everybody gets.
                pass
            case medcmd.WriteSipAnswer():
                await self._write_sip_answer(live, command)
            case medcmd.WriteBothAnswers():
                await self._write_both_answers(live, command)
            case medcmd.TakeSipAnswer():
                session = await self._session(live)
                await session.set_sip_answer(command.sip_sdp, from_another=command.from_another, early=command.early)
            case medcmd.AnswerReoffer():
                await self._answer_reoffer(live, command)
            case medcmd.AnswerMatrixReoffer():
                session = await self._session(live)
                await session.set_matrix_offer(command.matrix_sdp)
                self._feed(live, medev.MatrixReofferAnswered(sdp=await session.create_matrix_answer()))
            case medcmd.WriteSipReoffer():
                await self._write_sip_reoffer(live)
            case medcmd.WriteTransferOffer():
                session = await self._session(live)
                self._feed(live, tev.TransferOfferReady(sdp=await session.create_sip_offer(to_another=True)))
            case medcmd.TakeTransferAnswer():
                await (await self._session(live)).set_sip_answer(command.sip_sdp, from_another=True)
                self._feed(live, tev.TransferMediaReady())
            case medcmd.AnswerReplacement():
                await self._answer_replacement(live, command)
            case medcmd.PlayKeys():
                await (await self._session(live)).play_digits(command.digits, command.duration_ms)
            case medcmd.AddCandidates():
                await self._add_candidates(live, command)
            case hcmd.DropMatrixMedia():
                if live.session is not None:
                    await live.session.reset_matrix_leg()
            case hcmd.JoinMedia():
                await self._join(live, command)
            case medcmd.CloseMedia():
                await self._close(live)
            case acmd.WriteAnnouncementAnswer():
                session = await self._session(live)
                await session.set_matrix_offer(command.matrix_sdp)
                self._feed(live, AnnouncementReady(sdp=await session.create_matrix_answer()))
            case acmd.Announce():
                sound = self._voice.sound(command.reason, live.call.matrix.user)
                await self._play(live, sound, Ear.MATRIX)
            case acmd.DropSipMedia():
                await (await self._session(live)).drop_sip_leg()
            case mcmd.WriteOwnAnswer():
                await self._write_own_answer(live, command)
            case mcmd.PlayGreeting():
                await self._greet(live)
            case ncmd.PlayPrompt():
                await self._say(live, self._prompts.prompt(command.menu, command.prompt, command.edition))
            case ncmd.PlayRingback():
                await self._play(live, self._prompts.ringback(live.call.trunk), Ear.PHONE, repeats=True)
            case ncmd.TakeMatrixAnswer():
                await (await self._session(live)).set_matrix_answer(command.matrix_sdp)
                await self._leave_phone(live)
            case mcmd.StopSound():
                await (await self._session(live)).stop_playing(Ear.PHONE)
            case mcmd.RecordMessage():
                await self._record(live, command.longest_s)
            case mcmd.StopRecording():
                await (await self._session(live)).stop_recording()
            case _:
                assert_never(command)

    async def _session(self, live: LiveCall) -> MediaSession:
        if live.session is None:
            live.session = await self._engine.open(live.call.call_id, self._policy_of(live.call.trunk))
        return live.session

    async def _close(self, live: LiveCall) -> None:
        if live.session is not None:
            live.stats = await live.session.close()
            live.session = None

    async def _write_sip_offer(self, live: LiveCall, command: medcmd.WriteSipOffer) -> None:
        session = await self._session(live)
        if command.matrix_sdp is not None:
            await session.set_matrix_offer(command.matrix_sdp)
        self._feed(live, medev.SipOfferReady(sdp=await session.create_sip_offer()))

    async def _join(self, live: LiveCall, command: hcmd.JoinMedia) -> None:
        partner = self._find(command.partner)
        if partner is None or partner.session is None:
            raise CallError(outcomes.transfer_failed(), "the other call is over")
        await (await self._session(live)).join(partner.session)
        self._feed(live, hev.PartnersJoined())

    async def _write_matrix_answer(self, live: LiveCall, command: medcmd.WriteMatrixAnswer) -> None:
        session = await self._session(live)
        await session.set_sip_answer(command.sip_sdp, early=command.early)
        self._feed(live, medev.MatrixAnswerReady(sdp=await session.create_matrix_answer()))

    async def _write_sip_answer(self, live: LiveCall, command: medcmd.WriteSipAnswer) -> None:
        session = await self._session(live)
        await session.set_matrix_answer(command.matrix_sdp)
        write = session.create_sip_offer if command.late_offer else session.create_sip_answer
        self._feed(live, medev.SipAnswerReady(sdp=await write()))

    async def _write_own_answer(self, live: LiveCall, command: mcmd.WriteOwnAnswer) -> None:
        if live.call.message_box is not None:
            self._messages.hold_place(live.call)
            await self._messages.make_sure(longest_s=live.call.message_box.longest_s)
        session = await self._session(live)
        await session.reset_matrix_leg()
        write = session.create_sip_offer if command.late_offer else session.create_sip_answer
        self._feed(live, mev.OwnAnswerReady(sdp=await write()))

    async def _greet(self, live: LiveCall) -> None:
        """A phone that a menu has led here was answered before anybody knew that it would leave a message."""
        self._messages.hold_place(live.call)
        box = live.call.message_box
        if live.call.walk is not None and box is not None:
            await self._messages.make_sure(longest_s=box.longest_s)
        await self._say(live, self._messages.greeting(live.call.matrix.user))

    async def _say(self, live: LiveCall, sound: Sound) -> None:
        """Let the phone hear something, and listen for its keys."""
        await (await self._session(live)).report_phone_digits(True)
        await self._play(live, sound, Ear.PHONE)

    async def _play(self, live: LiveCall, sound: Sound, ear: Ear, *, repeats: bool = False) -> None:
        live.playing = await (await self._session(live)).play(sound, ear, repeats=repeats)
        if live.playing == live.played:
            self._feed(live, mev.SoundPlayed())

    async def _leave_phone(self, live: LiveCall) -> None:
        """From now on the phone hears the other side, which its keys are for."""
        session = await self._session(live)
        await session.stop_playing(Ear.PHONE)
        await session.report_phone_digits(False)

    async def _record(self, live: LiveCall, longest_s: float) -> None:
        request = await self._messages.begin(live.call, longest_s=longest_s)
        try:
            await (await self._session(live)).start_recording(request)
        except BaseException:
            await self._messages.never_begun(live.call)
            raise

    async def _write_both_answers(self, live: LiveCall, command: medcmd.WriteBothAnswers) -> None:
        if command.answered:
            session = await self._session(live)
            await session.reset_matrix_leg()
            await session.set_matrix_offer(command.matrix_sdp)
            self._feed(live, medev.BothAnswersReady(matrix_sdp=await session.create_matrix_answer(), sip_sdp=None))
            await self._leave_phone(live)
            return
        had_session = live.session is not None
        if command.fresh:
            await self._close(live)
        session = await self._session(live)
        if had_session and not command.fresh:
            await session.reset_matrix_leg()
        elif command.sip_sdp is not None:
            await session.set_sip_offer(command.sip_sdp)
        await session.set_matrix_offer(command.matrix_sdp)
        matrix_sdp = await session.create_matrix_answer()
        write: Callable[[], Awaitable[str]] = (
            session.create_sip_offer if command.sip_sdp is None else session.create_sip_answer
        )
        self._feed(live, medev.BothAnswersReady(matrix_sdp=matrix_sdp, sip_sdp=await write()))

    async def _answer_reoffer(self, live: LiveCall, command: medcmd.AnswerReoffer) -> None:
        session = await self._session(live)
        if command.sip_sdp is None:
            self._feed(live, medev.ReofferAnswered(sdp=await session.create_sip_offer()))
            return
        await session.set_sip_offer(command.sip_sdp)
        self._feed(live, medev.ReofferAnswered(sdp=await session.create_sip_answer()))

    async def _write_sip_reoffer(self, live: LiveCall) -> None:
        sdp = await (await self._session(live)).create_sip_reoffer()
        if sdp is not None:
            self._feed(live, medev.SipReofferReady(sdp=sdp))

    async def _answer_replacement(self, live: LiveCall, command: medcmd.AnswerReplacement) -> None:
        session = await self._session(live)
        if command.sip_sdp is None:
            self._feed(live, tev.ReplacementReady(sdp=await session.create_sip_offer(to_another=True)))
            return
        await session.set_sip_offer(command.sip_sdp)
        self._feed(live, tev.ReplacementReady(sdp=await session.create_sip_answer()))

    async def _add_candidates(self, live: LiveCall, command: medcmd.AddCandidates) -> None:
        if live.session is None:
            return
        await live.session.add_matrix_candidates(
            [
                IceCandidate(candidate=c.candidate, sdp_mid=c.sdp_mid, sdp_m_line_index=c.sdp_m_line_index)
                for c in command.candidates
            ]
        )
