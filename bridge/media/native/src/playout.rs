//! The playout buffer: packets in as the network delivers them, audio out as a clock asks for it.
//!
//! It holds audio back just long enough to put late packets in order: the delay starts at 60 ms and follows the measured
//! jitter between 20 and 200 ms. What came in time is never thrown away; what is missing is named as such, so that the
//! decoder can recover or conceal it. Where the delay is not what it should be, whoever plays makes speech a little
//! shorter or longer (`surplus_s`): so it follows the network, and the sender's clock.

use std::collections::VecDeque;

use crate::playout_delay::{FRAME_S, MAX_DELAY_S, PlayoutDelay};
use crate::rtp::{sequence_delta, timestamp_delta};
use crate::sources::jumps;

const MOST_CONCEALED_FRAMES: u32 = 5;
const CAPACITY: usize = 64;
const RESTART_S: i64 = 5;
/// Numbers of which it is known whether they were played: what comes again is no loss, what comes late is one.
const REMEMBERED: i64 = 128;
/// Counters that do not wrap begin so high that nothing lies before them.
const BASE: i64 = 16 << 32;

/// What the decoder is to do for the next stretch of audio.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Decode the payload; its length is told with [`PlayoutBuffer::played`].
    Audio(Vec<u8>),
    /// So many clock ticks are lost; the payload is the one that follows and may carry redundancy (RFC 6716 §2.1.7).
    Recover(i64, Vec<u8>),
    /// Nothing came in time: continue what was heard, for so many ticks.
    Conceal(i64),
    /// The source is pausing, or has been gone for too long to be continued.
    Silence(i64),
    /// Nothing is due: no source, or the delay of a new one is not over.
    Idle,
}

/// What became of the packets of a direction; frames are of 20 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Played {
    /// As they came.
    pub frames: u64,
    /// Made up.
    pub concealed: u64,
    /// Packets that came, and were not played.
    pub discarded: u64,
    /// How long audio was held back last.
    pub delay_s: f64,
}

impl std::ops::Add for Played {
    type Output = Self;

    fn add(self, later: Self) -> Self {
        Self {
            frames: self.frames + later.frames,
            concealed: self.concealed + later.concealed,
            discarded: self.discarded + later.discarded,
            delay_s: if later.delay_s == 0.0 { self.delay_s } else { later.delay_s },
        }
    }
}

/// A packet in the buffer, under counters that do not wrap.
#[derive(Clone)]
struct Waiting {
    sequence: i64,
    timestamp: i64,
    /// `None`: the number is accounted for (a digit, comfort noise) but carries no audio.
    payload: Option<Vec<u8>>,
}

/// Orders and times the packets of one source.
pub struct PlayoutBuffer {
    /// Frames that had to be made up; those in front of a pause of the source are not known to be.
    pub concealed_frames: u64,
    /// Packets of audio that came, and were not played: too late, or too many at once.
    pub discarded: u64,
    /// How long after the fastest packet audio is played, just now or when it was last.
    pub delay_s: f64,
    /// By how much that is more than it must be; negative when it is less.
    pub surplus_s: f64,
    delay: PlayoutDelay,
    played_ticks: i64,
    clock_rate: i64,
    frame: i64,
    packet: i64,
    waiting: VecDeque<Waiting>,
    /// Sequence number and timestamp of the newest packet.
    newest: Option<(i64, i64)>,
    played_sequence: Option<i64>,
    due: Option<i64>,
    /// How far the audio was made up when the buffer ran dry.
    made_up_to: Option<i64>,
    /// When that was.
    dry_at: f64,
    /// How long nothing at all was played after it.
    idle_frames: u64,
    starts_at: f64,
    run: u32,
    unproven: u64,
    /// Bit n: the number n before the last one that was played is done with.
    taken: u128,
}

impl PlayoutBuffer {
    /// An empty buffer; `redundant` packets may carry what was in the one before them.
    pub fn new(clock_rate: u32, redundant: bool) -> Self {
        let frame = (f64::from(clock_rate) * FRAME_S).round_ties_even() as i64;
        Self {
            concealed_frames: 0,
            discarded: 0,
            delay_s: 0.0,
            surplus_s: 0.0,
            delay: PlayoutDelay::new(redundant),
            played_ticks: 0,
            clock_rate: i64::from(clock_rate),
            frame,
            packet: frame,
            waiting: VecDeque::new(),
            newest: None,
            played_sequence: None,
            due: None,
            made_up_to: None,
            dry_at: 0.0,
            idle_frames: 0,
            starts_at: 0.0,
            run: 0,
            unproven: 0,
            taken: 0,
        }
    }

    // What the network delivers

    /// Take a packet; no payload accounts for one that is not audio.
    pub fn push(&mut self, sequence: u16, timestamp: u32, payload: Option<&[u8]>, now: f64) {
        let (sequence, timestamp) = self.unwrap(sequence, timestamp);
        let transit_s = now - timestamp as f64 / self.clock_rate as f64;
        if self.played_sequence.is_some_and(|played| sequence <= played) {
            self.refuse(sequence, payload.is_some().then_some(transit_s));
            return;
        }
        let place = self.waiting.partition_point(|waiting| waiting.sequence < sequence);
        if self.waiting.get(place).is_some_and(|waiting| waiting.sequence == sequence) {
            return;
        }
        if self.waiting.is_empty() && self.due.is_none() {
            self.starts_at = now + self.delay.wanted_s;
        }
        self.waiting.insert(place, Waiting { sequence, timestamp, payload: payload.map(<[u8]>::to_vec) });
        if payload.is_some() {
            self.delay.measure(transit_s);
        }
        if self.waiting.len() > CAPACITY {
            self.shed_one();
        }
    }

    /// A packet that comes too late, or again. One that was only missing from a run-dry buffer is not too late.
    fn refuse(&mut self, sequence: i64, transit_s: Option<f64>) {
        let age = self.played_sequence.unwrap_or(sequence) - sequence;
        if age < REMEMBERED && self.taken >> age & 1 == 0 {
            self.taken |= 1 << age;
            if let Some(transit_s) = transit_s {
                self.discarded += 1;
                self.delay.measure(transit_s);
            }
        }
    }

    /// Playing has come to this number, whose packet was `taken` or never came.
    fn done_with(&mut self, sequence: i64, taken: bool) {
        let step = self.played_sequence.map_or(1, |played| (sequence - played).max(0));
        self.taken = self.taken.checked_shl(step as u32).unwrap_or(0) | u128::from(taken);
        self.played_sequence = Some(sequence);
    }

    /// Widen the counters relative to the newest packet; far jumps are a new source (RFC 3550 appendix A.1).
    fn unwrap(&mut self, sequence: u16, timestamp: u32) -> (i64, i64) {
        if let Some(newest) = self.newest {
            let step = sequence_delta(sequence, newest.0 as u16);
            let ticks = timestamp_delta(timestamp, newest.1 as u32);
            if !jumps(step) && ticks.abs() <= RESTART_S * self.clock_rate {
                let packet = (newest.0 + i64::from(step), newest.1 + ticks);
                self.newest = Some(if step > 0 { packet } else { newest });
                return packet;
            }
            self.reset();
        }
        let packet = (BASE + i64::from(sequence), BASE + i64::from(timestamp));
        self.newest = Some(packet);
        packet
    }

    /// Forget the source; its packets that wait are lost.
    pub fn reset(&mut self) {
        self.discarded += self.waiting.iter().filter(|waiting| waiting.payload.is_some()).count() as u64;
        self.waiting.clear();
        (self.newest, self.played_sequence, self.due, self.made_up_to) = (None, None, None, None);
        (self.run, self.unproven, self.taken, self.idle_frames) = (0, 0, 0, 0);
        self.surplus_s = 0.0;
        self.delay.forget();
    }

    // What the clock asks for

    /// The stretch of audio that is to be decoded now, and heard when what is `ahead_s` has been.
    pub fn next(&mut self, now: f64, ahead_s: f64) -> Piece {
        if self.due.is_none() && !self.begin(now) {
            self.surplus_s = 0.0;
            return Piece::Idle;
        }
        self.limit_delay();
        self.skip_accounted();
        let delay_s = self.delay.of(now - self.due_now() as f64 / self.clock_rate as f64);
        (self.delay_s, self.surplus_s) = (delay_s + ahead_s, delay_s - self.delay.wanted_s);
        let Some(head) = self.waiting.front() else { return self.run_dry(now) };
        let gap = head.timestamp - self.due_now();
        if gap <= 0 || gap > RESTART_S * self.clock_rate {
            return self.play();
        }
        self.bridge_gap(gap.min(self.frame))
    }

    /// The last audio was so many ticks long.
    pub fn played(&mut self, ticks: i64) {
        self.due = Some(self.due_now() + ticks);
        self.packet = ticks.max(1);
        self.played_ticks += ticks;
    }

    /// What became of the packets so far.
    pub fn played_so_far(&self) -> Played {
        Played {
            frames: (self.played_ticks / self.frame) as u64,
            concealed: self.concealed_frames,
            discarded: self.discarded,
            delay_s: self.delay_s,
        }
    }

    /// Start playing once the first packet has waited for the delay.
    fn begin(&mut self, now: f64) -> bool {
        if now < self.starts_at {
            return false;
        }
        let audible = self.waiting.iter().find(|waiting| waiting.payload.is_some());
        self.due = audible.or(self.waiting.back()).map(|waiting| waiting.timestamp);
        if self.due.is_some() && self.made_up_to.is_some() {
            self.idle_frames = ((now - self.dry_at) / FRAME_S).round_ties_even() as u64;
        }
        self.due.is_some()
    }

    /// Where playing stands; asked for only while something is playing.
    fn due_now(&self) -> i64 {
        self.due.unwrap_or(BASE)
    }

    fn play(&mut self) -> Piece {
        let Some(head) = self.waiting.pop_front() else { return Piece::Idle };
        self.judge_made_up(head.sequence, head.timestamp);
        self.run = 0;
        self.done_with(head.sequence, true);
        self.due = Some(head.timestamp);
        Piece::Audio(head.payload.unwrap_or_default())
    }

    /// The next packet tells whether made-up audio stood in for something that was late or lost, or for a pause.
    fn judge_made_up(&mut self, sequence: i64, timestamp: i64) {
        let lost = self.missing_before(sequence);
        if lost > 0 {
            self.delay.lost();
        }
        if self.made_up_to.is_some() {
            // A source may skip as many numbers as it likes; no more was missed than there was time for.
            let missed = (lost * self.packet / self.frame) as u64;
            self.unproven = self.unproven.max(missed.min(self.unproven + self.idle_frames));
        }
        let reached = self.made_up_to.or(self.due);
        if lost > 0 || reached.is_some_and(|reached| timestamp < reached) {
            self.concealed_frames += self.unproven;
        }
        (self.unproven, self.idle_frames, self.made_up_to) = (0, 0, None);
    }

    /// Time before the next packet: a pause of the source when no number is missing, else a loss.
    fn bridge_gap(&mut self, ticks: i64) -> Piece {
        let Some(head) = self.waiting.front() else { return Piece::Idle };
        let (sequence, timestamp) = (head.sequence, head.timestamp);
        let missing = self.missing_before(sequence);
        let due = self.due_now() + ticks;
        self.due = Some(due);
        self.run += 1;
        if missing == 0 {
            return Piece::Silence(ticks);
        }
        self.delay.lost();
        self.done_with(sequence - missing, false);
        self.concealed_frames += 1 + self.unproven;
        self.unproven = 0;
        if self.run > MOST_CONCEALED_FRAMES {
            return Piece::Silence(ticks);
        }
        match self.waiting.front().and_then(|head| head.payload.clone()) {
            Some(payload) if missing == 1 && timestamp <= due => Piece::Recover(ticks, payload),
            _ => Piece::Conceal(ticks),
        }
    }

    fn missing_before(&self, sequence: i64) -> i64 {
        self.played_sequence.map_or(0, |played| sequence - played - 1)
    }

    /// Nothing waits: late, lost or pausing, the next packet will tell. Conceal briefly, then wait for it.
    fn run_dry(&mut self, now: f64) -> Piece {
        self.run += 1;
        if self.run > MOST_CONCEALED_FRAMES {
            (self.made_up_to, self.due, self.run, self.dry_at) = (self.due, None, 0, now);
            return Piece::Idle;
        }
        self.unproven += 1;
        self.due = Some(self.due_now() + self.frame);
        Piece::Conceal(self.frame)
    }

    /// Step over numbers that carry no audio.
    fn skip_accounted(&mut self) {
        while let Some(head) = self.waiting.front().filter(|head| head.payload.is_none()) {
            if self.missing_before(head.sequence) > 0 && head.timestamp > self.due_now() {
                return;
            }
            let sequence = head.sequence;
            self.done_with(sequence, true);
            self.waiting.pop_front();
        }
    }

    // Keeping the delay short

    fn buffered_s(&self) -> f64 {
        self.waiting
            .back()
            .map_or(0.0, |last| (last.timestamp + self.packet - self.due_now()) as f64 / self.clock_rate as f64)
    }

    /// The same without pauses of the source: no packet, present or lost, is longer than the last one was.
    fn audible_s(&self) -> f64 {
        let pairs = self.waiting.iter().zip(self.waiting.iter().skip(1));
        let spans = pairs.map(|(before, after)| {
            let longest = (after.sequence - before.sequence) * self.packet;
            (after.timestamp - before.timestamp).max(0).min(longest)
        });
        (self.packet + spans.sum::<i64>()) as f64 / self.clock_rate as f64
    }

    /// After a burst (the end of an outage) go on at the present, not seconds behind it.
    fn limit_delay(&mut self) {
        let packet_s = self.packet as f64 / self.clock_rate as f64;
        if self.buffered_s() <= MAX_DELAY_S + packet_s + FRAME_S || self.audible_s() <= MAX_DELAY_S {
            return;
        }
        while self.waiting.len() > 1 && self.buffered_s() > self.delay.wanted_s + packet_s {
            self.shed_one();
        }
    }

    fn shed_one(&mut self) {
        let Some(head) = self.waiting.pop_front() else { return };
        if head.payload.is_some() {
            self.judge_made_up(head.sequence, head.timestamp);
            self.discarded += 1;
        }
        self.done_with(head.sequence, true);
        if self.due.is_some() {
            self.due = self.waiting.front().map(|next| next.timestamp).or(self.due);
        }
    }
}
