//! RTCP on the wire (RFC 3550 §6): what we send, and what can be read out of what comes.
//!
//! Forged or broken packets are ignored: signalling decides over the call, never a BYE of RTCP.

use crate::outbound::OutboundStream;
use crate::rtp::word;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const NTP_EPOCH_S: f64 = 2_208_988_800.0;
const MOST_PACKETS: usize = 32;
const BLOCK: usize = 24;

/// A compound packet that does not begin with a report, or whose lengths do not add up.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a receiver says of one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Packets that never came, of 24 bits: repeated ones count against them.
    pub lost: i32,
    /// Of 256, since the report before.
    pub fraction: u8,
    /// Highest sequence number, widened.
    pub highest: u32,
    /// In ticks of the stream's clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the sender report that came last; 0 when none did.
    pub last_report: u32,
    /// How long ago that was, in 65536ths of a second.
    pub delay: u32,
}

impl ReportBlock {
    fn parse(octets: &[u8]) -> Self {
        let losses = word(octets, 4);
        Self {
            ssrc: word(octets, 0),
            lost: (losses << 8) as i32 >> 8,
            fraction: octets[4],
            highest: word(octets, 8),
            jitter: word(octets, 12),
            last_report: word(octets, 16),
            delay: word(octets, 20),
        }
    }

    fn words(&self) -> [u32; 6] {
        let losses = u32::from(self.fraction) << 24 | self.lost as u32 & 0xFF_FFFF;
        [self.ssrc, losses, self.highest, self.jitter, self.last_report, self.delay]
    }
}

/// One thing that a compound packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A source of a sender report, with the middle 32 bits of its NTP time.
    Sender(u32, u32),
    /// What a receiver says of a stream.
    Block(ReportBlock),
}

/// Read a compound packet, all of it or nothing (RFC 3550 appendix A.2).
pub fn read_reports(datagram: &[u8]) -> Result<Vec<Said>, Malformed> {
    let (mut said, mut rest) = (Vec::new(), datagram);
    for number in 0..MOST_PACKETS {
        if rest.is_empty() && number > 0 {
            break;
        }
        let head = rest.first_chunk::<4>().filter(|head| head[0] >> 6 == 2).ok_or(Malformed)?;
        let size = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        let body = rest.get(4..size).ok_or(Malformed)?;
        let (kind, count) = (head[1], usize::from(head[0] & 0x1F));
        let reports = matches!(kind, SENDER_REPORT | RECEIVER_REPORT);
        if number == 0 && (!reports || head[0] & 0x20 != 0) {
            return Err(Malformed);
        }
        if reports {
            let start = if kind == SENDER_REPORT { 24 } else { 4 };
            let blocks = body.get(start..start + count * BLOCK).ok_or(Malformed)?;
            if kind == SENDER_REPORT {
                said.push(Said::Sender(word(body, 0), word(body, 6)));
            }
            said.extend(blocks.chunks_exact(BLOCK).map(|block| Said::Block(ReportBlock::parse(block))));
        }
        rest = &rest[size..];
    }
    Ok(said)
}

/// When a report is written.
#[derive(Clone, Copy)]
pub struct Moment {
    /// On the monotonic clock.
    pub now: f64,
    /// On the wall clock.
    pub wall: f64,
}

impl Moment {
    fn ntp(self) -> (u32, u32) {
        let seconds = self.wall + NTP_EPOCH_S;
        (seconds as u64 as u32, (seconds.fract() * 4_294_967_296.0) as u64 as u32)
    }

    /// The middle 32 bits of the NTP time.
    pub fn middle_ntp(self) -> u32 {
        let (seconds, fraction) = self.ntp();
        seconds << 16 | fraction >> 16
    }
}

/// Append a compound packet: sender report (receiver report before we sent anything) and source description.
pub fn write_report(
    outbound: &OutboundStream,
    block: Option<ReportBlock>,
    cname: &str,
    clock_rate: u32,
    moment: Moment,
    out: &mut Vec<u8>,
) {
    let mut body = vec![outbound.ssrc];
    if outbound.packets > 0 {
        let (seconds, fraction) = moment.ntp();
        let position = outbound.position(moment.now, clock_rate);
        body.extend([seconds, fraction, position, outbound.packets as u32, outbound.octets as u32]);
    }
    body.extend(block.iter().flat_map(ReportBlock::words));
    let kind = if outbound.packets > 0 { SENDER_REPORT } else { RECEIVER_REPORT };
    packet(kind, block.is_some().into(), &octets(&body), out);
    source_description(outbound.ssrc, cname, out);
}

/// Append the end of a stream (RFC 3550 §6.6), as a compound packet.
pub fn write_bye(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    packet(RECEIVER_REPORT, 0, &ssrc.to_be_bytes(), out);
    source_description(ssrc, cname, out);
    packet(BYE, 1, &ssrc.to_be_bytes(), out);
}

fn source_description(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    let name = &cname.as_bytes()[..cname.len().min(255)];
    let mut item = ssrc.to_be_bytes().to_vec();
    item.extend([1, name.len() as u8]);
    item.extend(name);
    item.resize(item.len() + 4 - item.len() % 4, 0);
    packet(SOURCE_DESCRIPTION, 1, &item, out);
}

fn packet(kind: u8, count: u8, body: &[u8], out: &mut Vec<u8>) {
    out.extend([0x80 | count, kind]);
    out.extend(((body.len() / 4) as u16).to_be_bytes());
    out.extend(body);
}

fn octets(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
