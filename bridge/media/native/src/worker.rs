//! Threads that carry packets: one per core, each with the calls that it was given.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};

use crate::call::{Call, Workbench};
use crate::rtcp::Moment;

/// Calls are served in turns, so that not all of them encode at the same moment.
const TURNS: u64 = 4;
const TURN_NS: i64 = 20_000_000 / TURNS as i64;
/// Ticks of a call between two looks at its reports.
const LOOK_AFTER_EVERY: u64 = 12;
const EVENTS: usize = 256;
const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// A call, used by its thread and by Python's commands.
pub type SharedCall = Arc<Mutex<Call>>;

/// Take a call for oneself, also after a fault in it.
pub fn lock(call: &Mutex<Call>) -> MutexGuard<'_, Call> {
    call.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds on the clock that never jumps, the one that Python's `time.monotonic` reads.
pub fn now() -> f64 {
    seconds(ClockId::Monotonic)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What a thread shares with those who command it.
struct Desk {
    epoll: OwnedFd,
    wake: OwnedFd,
    timer: OwnedFd,
    calls: Mutex<HashMap<u32, SharedCall>>,
    stopping: AtomicBool,
    faults: AtomicU64,
}

/// One thread.
pub struct Worker {
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Start a thread without calls.
    pub fn start(number: usize) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?,
            calls: Mutex::default(),
            stopping: AtomicBool::new(false),
            faults: AtomicU64::new(0),
        });
        epoll::add(&desk.epoll, &desk.wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        epoll::add(&desk.epoll, &desk.timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        let served = desk.clone();
        let thread =
            std::thread::Builder::new().name(format!("trunkline-rtp-{number}")).spawn(move || served.serve())?;
        Ok(Self { desk, thread: Mutex::new(Some(thread)) })
    }

    /// How many calls it has.
    pub fn load(&self) -> usize {
        self.desk.calls().len()
    }

    /// Take a call.
    pub fn add(&self, number: u32, call: SharedCall) -> io::Result<()> {
        self.watch(number, &lock(&call))?;
        let mut calls = self.desk.calls();
        if calls.is_empty() {
            self.desk.set_timer(TURN_NS)?;
        }
        calls.insert(number, call);
        Ok(())
    }

    /// Read the sockets of a call from now on; those that are watched already stay so.
    pub fn watch(&self, number: u32, call: &Call) -> io::Result<()> {
        for (socket_number, socket) in call.sockets() {
            let token = epoll::EventData::new_u64(u64::from(number) << 32 | u64::from(socket_number));
            match epoll::add(&self.desk.epoll, socket, token, epoll::EventFlags::IN) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Read them no more.
    pub fn unwatch<'a>(&self, sockets: impl Iterator<Item = impl AsFd + 'a>) {
        for socket in sockets {
            // One that is not watched needs nothing.
            let _ = epoll::delete(&self.desk.epoll, socket);
        }
    }

    /// Let a call go.
    pub fn remove(&self, number: u32) -> io::Result<()> {
        let mut calls = self.desk.calls();
        let call = calls.remove(&number);
        if calls.is_empty() {
            self.desk.set_timer(0)?;
        }
        drop(calls);
        if let Some(call) = call {
            self.unwatch(lock(&call).sockets().into_iter().map(|(_, socket)| socket));
        }
        Ok(())
    }

    /// Faults of calls that were survived, since the last time.
    pub fn take_faults(&self) -> u64 {
        self.desk.faults.swap(0, Ordering::Relaxed)
    }

    /// End the thread and wait for it; may be called twice.
    pub fn stop(&self) -> io::Result<()> {
        self.desk.stopping.store(true, Ordering::Release);
        rustix::io::write(&self.desk.wake, &1u64.to_ne_bytes())?;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A thread that panicked has nothing more to say: each call's faults are caught inside.
        thread.map_or(Ok(()), |thread| thread.join().map_err(|_| io::Error::other("the thread had failed")))
    }
}

impl Desk {
    fn calls(&self) -> MutexGuard<'_, HashMap<u32, SharedCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ring every so many nanoseconds; 0 never.
    fn set_timer(&self, interval_ns: i64) -> io::Result<()> {
        let interval = Timespec { tv_sec: 0, tv_nsec: interval_ns };
        let setting = Itimerspec { it_interval: interval, it_value: interval };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    fn serve(&self) {
        let mut events = Vec::with_capacity(EVENTS);
        let (mut bench, mut turn) = (Workbench::default(), 0);
        while !self.stopping.load(Ordering::Acquire) {
            events.clear();
            // The only other error is an interruption by a signal: wait again.
            if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None).is_err() {
                continue;
            }
            let (calls, moment) = (self.calls(), now());
            for event in &events {
                match event.data.u64() {
                    WAKE => {}
                    TIMER => turn = self.take_turns(turn, &calls, moment, &mut bench),
                    token => {
                        if let Some(call) = calls.get(&((token >> 32) as u32)) {
                            self.read(call, token as u32, moment, &mut bench);
                        }
                    }
                }
            }
        }
    }

    /// Read a datagram of a call, and hand it over to its partner when that is whom it is for.
    fn read(&self, call: &SharedCall, socket: u32, now: f64, bench: &mut Workbench) {
        let (mut partner, mut clock_rate) = (None, None);
        self.guarded(call, |call| {
            if call.readable(socket, now, bench) {
                partner = call.partner.as_ref().and_then(Weak::upgrade);
            }
        });
        if let Some(partner) = partner {
            self.guarded(&partner, |partner| clock_rate = partner.take_from_partner(now, bench));
            self.guarded(call, |call| call.gave_to_partner(now, clock_rate, bench));
        }
    }

    /// Serve those whose turn it is; after a stop of the machine, not more often than once each.
    fn take_turns(&self, turn: u64, calls: &HashMap<u32, SharedCall>, now: f64, bench: &mut Workbench) -> u64 {
        let mut rung = [0; 8];
        if rustix::io::read(&self.timer, &mut rung).is_err() {
            return turn;
        }
        let passed = u64::from_ne_bytes(rung);
        for turn in turn + passed.saturating_sub(TURNS)..turn + passed {
            let look_after = (turn / TURNS) % LOOK_AFTER_EVERY == 0;
            for (_, call) in calls.iter().filter(|(number, _)| u64::from(**number) % TURNS == turn % TURNS) {
                self.guarded(call, |call| {
                    call.tick(now, bench);
                    if look_after {
                        call.report(Moment { now, wall: seconds(ClockId::Realtime) }, bench);
                    }
                });
            }
        }
        turn + passed
    }

    /// A fault in one call is not the others' fault.
    fn guarded(&self, call: &Mutex<Call>, work: impl FnOnce(&mut Call)) {
        if catch_unwind(AssertUnwindSafe(|| work(&mut lock(call)))).is_err() {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::audio::{Beginning, CallAudio};
    use crate::mailbox::Mailbox;
    use crate::outbound::Start;
    use crate::phone::Phone;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A call whose phone is `peer`, and the address to which that has to send.
    fn call(number: u32, peer: &UdpSocket, mailbox: &Arc<Mailbox>) -> (SharedCall, std::net::SocketAddr) {
        let start = |ssrc| Start { ssrc, timestamp: 0, sequence: 0 };
        let audio = CallAudio::new(Beginning {
            to_matrix: start(1),
            to_sip: start(2),
            cname: "name".into(),
            signals_digits: false,
            opus: None,
            now: now(),
        });
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut phone = Phone::new(socket(), socket(), Vec::new(), now());
        let (here, there) = (phone.rtp.local_addr().unwrap(), peer.local_addr().unwrap());
        phone.direct(there, there.port());
        (Arc::new(Mutex::new(Call::new(number, audio, phone, mailbox))), here)
    }

    fn until(mut true_now: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !true_now() {
            assert!(begin.elapsed() < LIMIT, "it did not happen");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_fault_in_one_call_is_counted_and_the_others_go_on() {
        let (worker, mailbox) = (Worker::start(0).unwrap(), Arc::new(Mailbox::new().unwrap()));
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (faulty, _) = call(1, &peer, &mailbox);
        let (sound, here) = call(2, &peer, &mailbox);
        worker.add(1, faulty.clone()).unwrap();
        worker.add(2, sound.clone()).unwrap();
        worker.desk.guarded(&faulty, |_| panic!("a fault on purpose"));
        assert_eq!((worker.take_faults(), worker.take_faults()), (1, 0));
        peer.send_to(&[&[0x80, 0][..], &[1; 170]].concat(), here).unwrap();
        until(|| lock(&sound).audio.numbers().sip.heard_at.is_some());
        assert!(lock(&faulty).audio.numbers().sip.heard_at.is_none());
        worker.stop().unwrap();
    }

    #[test]
    fn a_call_that_was_let_go_is_not_read_any_more_and_keeps_its_numbers() {
        let (worker, mailbox) = (Worker::start(0).unwrap(), Arc::new(Mailbox::new().unwrap()));
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (call, here) = call(1, &peer, &mailbox);
        worker.add(1, call.clone()).unwrap();
        peer.send_to(&[&[0x80, 0][..], &[1; 170]].concat(), here).unwrap();
        until(|| lock(&call).audio.numbers().sip.received == 1);
        worker.remove(1).unwrap();
        lock(&call).close();
        assert_eq!((worker.load(), lock(&call).audio.numbers().sip.received), (0, 1));
        assert!(UdpSocket::bind(here).is_ok(), "the port is free");
        worker.stop().unwrap();
        worker.stop().unwrap();
    }
}
