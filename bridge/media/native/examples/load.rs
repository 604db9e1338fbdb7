//! The other ends of many calls at once, for `make bench`: clients that speak SRTP and phones that speak RTP.
//!
//! `load floor LIBOPUS` measures what no packet path can do without, with a second of PCM in hexadecimal on the standard
//! input. Otherwise the calls come there, one a line: descriptor and remote address of the client's socket, profile, keys
//! of both directions, then descriptor and remote address of the phone's. The first line says for how many seconds to
//! speak, how the way of the audio is timed (`stamps` in packets that come through as they are, else by the frame of the
//! client's voice that is the first loud one), and with which payloads.

use std::io::{BufRead, stdin};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::{ClockId, Timespec, clock_gettime};
use trunkline_native::formats::Codec;
use trunkline_native::rtp::{Packet, is_rtcp};
use trunkline_native::srtp::{Context, Profile};
use trunkline_native::{g711, opus};

const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
const FLOOR_PACKETS: u32 = 100_000;
const FLOOR_FRAMES: usize = 1500;
/// A quiet voice never reaches this sample, a loud one does within a millisecond.
const LOUD: i32 = 4500;
/// So many quiet samples make the next loud one the beginning of something.
const QUIET_SAMPLES: u32 = 1600;
const STAMP_NIBBLES: usize = 16;

/// How the way of the audio is timed.
#[derive(Clone, Copy)]
enum Timing {
    /// Packets of both directions begin with the time at which they were sent.
    Stamps,
    /// The client's voice becomes loud with this frame, which the phone can hear after any codec.
    Onset(u32),
}

/// The time in sixteen codes of PCMU that are the same after decoding and encoding.
fn stamp(payload: &mut [u8], time_ns: u64) {
    for (index, code) in payload.iter_mut().take(STAMP_NIBBLES).enumerate() {
        *code = 0x20 | (time_ns >> (4 * index)) as u8 & 0x0F;
    }
}

/// What [`stamp`] wrote; `None` for anything else.
fn stamped(payload: &[u8]) -> Option<u64> {
    let codes = payload.first_chunk::<STAMP_NIBBLES>().filter(|codes| codes.iter().all(|code| code >> 4 == 2))?;
    Some(codes.iter().rev().fold(0, |time, code| time << 4 | u64::from(code & 0x0F)))
}

/// Waits in one call for the phone to hear the client become loud.
#[derive(Default)]
struct Onset {
    sent_ns: Option<u64>,
    quiet: u32,
}

impl Onset {
    /// From sending the frame to the moment at which its beginning is played, when this packet of PCMU has it.
    fn heard(&mut self, payload: &[u8], now_ns: u64) -> Option<u64> {
        let mut samples = Vec::with_capacity(payload.len());
        g711::decode(Codec::Pcmu, payload, &mut samples);
        let mut delay = None;
        for (index, sample) in samples.iter().enumerate() {
            if i32::from(*sample).abs() < LOUD {
                self.quiet += 1;
                continue;
            }
            if self.quiet >= QUIET_SAMPLES {
                let played_ns = now_ns + index as u64 * 125_000;
                delay = self.sent_ns.take().map(|sent_ns| played_ns.saturating_sub(sent_ns));
            }
            self.quiet = 0;
        }
        delay
    }
}

/// One stream that is spoken.
struct Voice {
    payload_type: u8,
    step: u32,
    frames: Vec<Vec<u8>>,
    number: u32,
}

impl Voice {
    /// `payload type, clock ticks of a frame, frames in hexadecimal with commas between them`.
    fn read(text: &str) -> Self {
        let mut fields = text.splitn(3, ':');
        let mut next = || fields.next().expect("a field of a voice");
        let (payload_type, step) = (next().parse().expect("a type"), next().parse().expect("a step"));
        Self { payload_type, step, frames: next().split(',').map(octets).collect(), number: 0 }
    }

    /// Whether the next packet has this frame.
    fn is_at(&self, frame: u32) -> bool {
        self.number % self.frames.len() as u32 == frame
    }

    /// The next packet; where it is to come through unchanged, it begins with the time.
    fn packet(&mut self, ssrc: u32, time_ns: Option<u64>, out: &mut Vec<u8>) {
        let mut payload = self.frames[self.number as usize % self.frames.len()].clone();
        if let Some(time_ns) = time_ns {
            stamp(&mut payload, time_ns);
        }
        let (sequence, timestamp) = (self.number as u16, self.number.wrapping_mul(self.step));
        let (payload_type, marker) = (self.payload_type, self.number == 0);
        out.clear();
        Packet { payload_type, sequence, timestamp, ssrc, marker, payload: &payload }.write(out);
        self.number += 1;
    }
}

struct Call {
    client: UdpSocket,
    bridge: SocketAddr,
    encrypt: Context,
    decrypt: Context,
    phone: UdpSocket,
    trunk: SocketAddr,
    client_voice: Voice,
    phone_voice: Voice,
    onset: Onset,
}

#[derive(Default)]
struct Heard {
    by_client: u64,
    by_phone: u64,
    latencies_ns: Vec<u64>,
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("floor") {
        return floor(&std::env::args().nth(2).expect("the path of libopus"));
    }
    let mut lines = stdin().lock().lines().map_while(Result::ok);
    let head = lines.next().expect("a first line");
    let fields: Vec<&str> = head.split(' ').collect();
    let seconds: f64 = fields[0].parse().expect("seconds");
    let timing =
        if fields[1] == "stamps" { Timing::Stamps } else { Timing::Onset(fields[1].parse().expect("a frame")) };
    let mut calls: Vec<Call> = lines.map(|line| call(&line, fields[2], fields[3])).collect();
    let (sent, mut heard) = run(&mut calls, Duration::from_secs_f64(seconds), timing);
    heard.latencies_ns.sort_unstable();
    let quantile = |share: f64| match heard.latencies_ns.len() {
        0 => 0,
        count => heard.latencies_ns[((count - 1) as f64 * share) as usize],
    };
    let (p50, p99) = (quantile(0.5) / 1000, quantile(0.99) / 1000);
    let (by_client, by_phone) = (heard.by_client, heard.by_phone);
    println!(
        r#"{{"sent": {sent}, "by_client": {by_client}, "by_phone": {by_phone}, "p50_us": {p50}, "p99_us": {p99}}}"#
    );
}

fn call(line: &str, client_voice: &str, phone_voice: &str) -> Call {
    let fields: Vec<&str> = line.split(' ').collect();
    let profile = Profile::named(fields[2]).expect("a profile");
    let context = |key: &str| Context::new(profile, &octets(key)).expect("a key");
    Call {
        client: socket(fields[0]),
        bridge: fields[1].parse().expect("an address"),
        encrypt: context(fields[3]),
        decrypt: context(fields[4]),
        phone: socket(fields[5]),
        trunk: fields[6].parse().expect("an address"),
        client_voice: Voice::read(client_voice),
        phone_voice: Voice::read(phone_voice),
        onset: Onset::default(),
    }
}

fn socket(descriptor: &str) -> UdpSocket {
    // SAFETY: the descriptor was inherited for this alone, and nobody else in this process uses it.
    let socket = unsafe { UdpSocket::from_raw_fd(descriptor.parse().expect("a descriptor")) };
    socket.set_nonblocking(true).expect("a socket");
    socket
}

fn octets(hex: &str) -> Vec<u8> {
    let digit = |octet: &u8| (*octet as char).to_digit(16).expect("a digit") as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

/// Speak and listen, every call in its turn of a frame; how many packets were sent, both ways together.
fn run(calls: &mut [Call], length: Duration, timing: Timing) -> (u64, Heard) {
    let ear = Ear::new(calls, timing);
    let (begin, count) = (ear.begin, calls.len() as u32);
    let (mut heard, mut sent, mut turn, mut packet) = (Heard::default(), 0, 0u32, Vec::new());
    while begin.elapsed() < length {
        let due = FRAME * (turn / count) + FRAME * (turn % count) / count;
        ear.listen(calls, due.saturating_sub(begin.elapsed()), &mut heard);
        if begin.elapsed() < due {
            continue;
        }
        let call = &mut calls[(turn % count) as usize];
        let now_ns = begin.elapsed().as_nanos() as u64;
        let stamp = matches!(timing, Timing::Stamps).then_some(now_ns);
        if matches!(timing, Timing::Onset(frame) if call.client_voice.is_at(frame)) {
            call.onset.sent_ns = Some(now_ns);
        }
        call.client_voice.packet(1, stamp, &mut packet);
        assert!(call.encrypt.protect(&mut packet), "a packet that could not be encrypted");
        sent += u64::from(call.client.send_to(&packet, call.bridge).is_ok());
        call.phone_voice.packet(2, stamp, &mut packet);
        sent += u64::from(call.phone.send_to(&packet, call.trunk).is_ok());
        turn += 1;
    }
    (sent, heard)
}

/// Hears all clients and phones.
struct Ear {
    epoll: OwnedFd,
    begin: Instant,
    timing: Timing,
}

impl Ear {
    fn new(calls: &[Call], timing: Timing) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        let sockets = calls.iter().flat_map(|call| [&call.client, &call.phone]);
        for (index, socket) in sockets.enumerate() {
            let token = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, socket, token, epoll::EventFlags::IN).expect("a socket that can be watched");
        }
        Self { epoll, begin: Instant::now(), timing }
    }

    /// Wait for packets for so long, and take those that are there.
    fn listen(&self, calls: &mut [Call], wait: Duration, heard: &mut Heard) {
        let mut events = Vec::with_capacity(64);
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as i64 };
        if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)).is_err() {
            return;
        }
        let mut room = [0; 2048];
        for event in &events {
            let index = event.data.u64() as usize;
            let (call, is_client) = (&mut calls[index / 2], index % 2 == 0);
            let socket = if is_client { &call.client } else { &call.phone };
            if let Ok((size, _)) = socket.recv_from(&mut room) {
                self.take(call, is_client, room[..size].to_vec(), heard);
            }
        }
    }

    fn take(&self, call: &mut Call, is_client: bool, mut datagram: Vec<u8>, heard: &mut Heard) {
        if is_client {
            let is_srtp = matches!(datagram.first(), Some(128..=191)) && !is_rtcp(&datagram);
            if !is_srtp || call.decrypt.unprotect(&mut datagram).is_err() {
                return;
            }
        }
        let Some(packet) = Packet::parse(&datagram) else { return };
        *if is_client { &mut heard.by_client } else { &mut heard.by_phone } += 1;
        let now_ns = self.begin.elapsed().as_nanos() as u64;
        let delay_ns = match self.timing {
            Timing::Stamps => stamped(packet.payload).and_then(|sent_ns| now_ns.checked_sub(sent_ns)),
            Timing::Onset(_) if is_client => None,
            Timing::Onset(_) => call.onset.heard(packet.payload, now_ns),
        };
        heard.latencies_ns.extend(delay_ns);
    }
}

/// Nanoseconds of processor time that one packet costs: to receive, to send, to encrypt or decrypt; and one frame of
/// audio, to decode from Opus and to encode to it.
fn floor(libopus: &str) {
    let [receive, send, srtp] = packet_floor();
    let [decode, encode] = codec_floor(libopus);
    println!(
        r#"{{"receive_ns": {receive:.0}, "send_ns": {send:.0}, "srtp_ns": {srtp:.0}, "decode_ns": {decode:.0}, "encode_ns": {encode:.0}}}"#
    );
}

fn packet_floor() -> [f64; 3] {
    let there = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let here = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = here.local_addr().expect("an address");
    let mut voice = Voice::read(&format!("0:160:{}", "ff".repeat(160)));
    let context = || Context::new(Profile::AesCm80, &[7; 30]).expect("a key");
    let (mut encrypt, mut decrypt) = (context(), context());
    let (mut packet, mut room, mut spent) = (Vec::new(), [0; 2048], [0.0; 4]);
    for _ in 0..FLOOR_PACKETS {
        voice.packet(1, None, &mut packet);
        spent[0] += timed(|| ());
        spent[1] += timed(|| assert!(encrypt.protect(&mut packet)));
        spent[2] += timed(|| assert!(there.send_to(&packet, address).is_ok()));
        spent[3] += timed(|| assert!(here.recv(&mut room).is_ok()));
        spent[1] += timed(|| assert!(decrypt.unprotect(&mut packet).is_ok()));
    }
    let [watch, srtp, send, receive] = spent.map(|seconds| seconds * 1e9 / f64::from(FLOOR_PACKETS));
    [receive - watch, send - watch, srtp / 2.0 - watch]
}

fn codec_floor(libopus: &str) -> [f64; 2] {
    let text = stdin().lock().lines().next().expect("PCM").expect("text");
    let octets = octets(&text);
    let samples: Vec<i16> = octets.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let library = opus::library(libopus).expect("libopus");
    let mut encoder = opus::Encoder::new(library.clone(), 8000, opus::Wish::default()).expect("an encoder");
    let mut decoder = opus::Decoder::new(library, 8000).expect("a decoder");
    let (mut packet, mut heard, mut spent) = (Vec::new(), Vec::new(), [0.0; 2]);
    for frame in samples.chunks_exact(FRAME_SAMPLES).cycle().take(FLOOR_FRAMES) {
        packet.clear();
        heard.clear();
        spent[1] += timed(|| assert!(encoder.encode(frame, &mut packet).is_ok()));
        spent[0] += timed(|| assert!(decoder.decode(&packet, &mut heard).is_ok()));
    }
    spent.map(|seconds| seconds * 1e9 / FLOOR_FRAMES as f64)
}

/// Seconds of processor time that something takes, those of looking at the watch included.
fn timed(work: impl FnOnce()) -> f64 {
    let start = processor_s();
    work();
    processor_s() - start
}

fn processor_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
