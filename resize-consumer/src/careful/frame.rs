//! What goes through the pipe between a worker and its child: parts, each a length (u32, little-endian) and as many bytes.
//!
//! | direction | |
//! |---|---|
//! | to the child | the [`Task`] as JSON; the source |
//! | back | one byte once all of it has been read: from here on a death is the decoder's |
//! | back | the [`Answer`] as JSON; the output, empty if rejected |

use std::io::{self, Read, Write};

use contract::resize::Resize;
use contract::usage::Reason;
use engine::{ImageFormat, Limits, Measures, Output, Rejection};
use serde::{Deserialize, Serialize};

const BEGUN: u8 = b'!';
/// Parameters, limits, measures, a line of detail: far less than this.
const LARGEST_JSON: u32 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) params: Resize,
    pub(super) limits: Limits,
    /// CPU time that the child may use for it.
    pub(super) cpu_seconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Done { format: ImageFormat, width: u32, height: u32, measures: Measures },
    Rejected { reason: Reason, detail: String, measures: Measures },
}

pub(super) fn write_task(pipe: &mut impl Write, task: &Task, source: &[u8]) -> io::Result<()> {
    write(pipe, &serde_json::to_vec(task)?)?;
    write(pipe, source)
}

/// `None` when the other end has closed.
pub(super) fn read_task(pipe: &mut impl Read) -> io::Result<Option<(Task, Vec<u8>)>> {
    let json = match read(pipe, LARGEST_JSON) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        json => json?,
    };
    Ok(Some((serde_json::from_slice(&json)?, read(pipe, u32::MAX)?)))
}

/// Says that all of the task has been read.
pub(super) fn write_begun(pipe: &mut impl Write) -> io::Result<()> {
    pipe.write_all(&[BEGUN])
}

pub(super) fn read_begun(pipe: &mut impl Read) -> io::Result<()> {
    let mut begun = [0];
    pipe.read_exact(&mut begun)?;
    if begun == [BEGUN] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

pub(super) fn write_answer(pipe: &mut impl Write, resized: Result<Output, Box<Rejection>>) -> io::Result<()> {
    let (answer, output) = match resized {
        Ok(Output { bytes, format, width, height, measures }) => {
            (Answer::Done { format, width, height, measures }, bytes)
        }
        Err(rejection) => {
            let Rejection { reason, detail, measures } = *rejection;
            (Answer::Rejected { reason, detail, measures }, Vec::new())
        }
    };
    write(pipe, &serde_json::to_vec(&answer)?)?;
    write(pipe, &output)
}

/// An output of more than `most` bytes is an error, as all is that a child in its senses doesn't say.
pub(super) fn read_answer(pipe: &mut impl Read, most: u32) -> io::Result<Result<Output, Box<Rejection>>> {
    let answer = serde_json::from_slice(&read(pipe, LARGEST_JSON)?)?;
    let bytes = read(pipe, most)?;
    Ok(match answer {
        Answer::Done { format, width, height, measures } => Ok(Output { bytes, format, width, height, measures }),
        Answer::Rejected { reason, detail, measures } => Err(Box::new(Rejection { reason, detail, measures })),
    })
}

fn write(pipe: &mut impl Write, part: &[u8]) -> io::Result<()> {
    let length = u32::try_from(part.len()).map_err(io::Error::other)?;
    pipe.write_all(&length.to_le_bytes())?;
    pipe.write_all(part)
}

fn read(pipe: &mut impl Read, most: u32) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    pipe.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{length} bytes; at most {most} are taken")));
    }
    let mut part = Vec::new();
    // Grows with what really comes, whatever length was claimed.
    pipe.take(length.into()).read_to_end(&mut part)?;
    if part.len() as u64 == u64::from(length) { Ok(part) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task { params: Resize::default(), limits: Limits::default(), cpu_seconds: 7 }
    }

    #[test]
    fn what_is_said_is_what_is_heard() {
        let mut pipe = Vec::new();
        write_task(&mut pipe, &task(), b"source").unwrap();
        let mut rest = pipe.as_slice();
        let (heard, source) = read_task(&mut rest).unwrap().unwrap();
        assert_eq!((heard.limits, heard.cpu_seconds, source.as_slice()), (Limits::default(), 7, b"source".as_slice()));
        assert!(read_task(&mut rest).unwrap().is_none(), "the pipe has ended");
        assert!(read_task(&mut &pipe[..pipe.len() - 1]).is_err(), "a source that is cut short");

        let measures = Measures { input_bytes: contract::units::Bytes::new(6).unwrap(), ..Measures::default() };
        let done = Output { bytes: b"output".to_vec(), format: ImageFormat::Webp, width: 3, height: 2, measures };
        let refused = Rejection { reason: Reason::CorruptImage, detail: "why".to_owned(), measures };
        for said in [Ok(done), Err(Box::new(refused))] {
            let mut pipe = Vec::new();
            write_answer(&mut pipe, said.clone()).unwrap();
            assert_eq!(read_answer(&mut pipe.as_slice(), 6).unwrap(), said);
            assert_eq!(read_answer(&mut pipe.as_slice(), 5).is_err(), said.is_ok(), "an output of six bytes");
        }
    }

    #[test]
    fn a_claim_is_not_believed() {
        let claims = [u32::MAX.to_le_bytes().to_vec(), [&9_u32.to_le_bytes()[..], b"{}"].concat(), vec![1]];
        for claim in claims {
            assert!(read_answer(&mut claim.as_slice(), 100).is_err(), "{claim:?}");
        }
    }
}
