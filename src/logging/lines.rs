//! Log lines on their way to standard error. They wait in a bounded queue for a thread that does
//! nothing but write them. A line that has no room there, or cannot be written, is dropped and
//! counted. A line says so once there is room again.
//!
//! Written directly, standard error would block every thread that logs while its reader stalls (at
//! debug the 114th submission hung, and the heartbeat with it). tracing-subscriber panics where a
//! write fails. tracing-appender has a thread that writes, too. But its queue is bounded by lines
//! and not by bytes, and it does not count lines that could not be written.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use metrics::counter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait, and the bytes of them.
const LINES_MOST: usize = 8_192;
const BYTES_MOST: usize = 4 << 20;
/// How often at most it is said that lines were dropped, while ever more are.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// How long a pipe that does not block is left alone when it is full.
const FULL_PAUSE: Duration = Duration::from_millis(10);
/// How long the last words of a process may take.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// The lines of this process, which has one standard error.
pub(super) static LINES: Lines = Lines::new();

pub(super) struct Lines {
    queue: Mutex<Queue>,
    come: Condvar,
    gone: Condvar,
}

struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether a line is being written.
    writing: bool,
    /// Lines that were dropped, and of which nothing was said yet.
    dropped: u64,
    writer: Option<ThreadId>,
}

impl Lines {
    const fn new() -> Self {
        let queue =
            Queue { lines: VecDeque::new(), bytes: 0, writing: false, dropped: 0, writer: None };
        Self { queue: Mutex::new(queue), come: Condvar::new(), gone: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never waits for what reads the lines.
    fn push(&self, line: &[u8]) {
        let mut queue = self.lock();
        let full = queue.lines.len() >= LINES_MOST || queue.bytes + line.len() > BYTES_MOST;
        // The writer speaks of lines that were dropped, and room is what it makes.
        if full && queue.writer != Some(thread::current().id()) {
            queue.drop_line();
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.to_vec());
        drop(queue);
        self.come.notify_one();
    }

    /// The next line, which is being written from here on.
    fn next(&self) -> Vec<u8> {
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.writing = true;
                return line;
            }
            queue = self.come.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The line was written, or could not be. Answers how many were dropped, if that is to be said
    /// now.
    fn wrote(&self, well: bool, said_at: Option<Instant>) -> Option<u64> {
        let mut queue = self.lock();
        queue.writing = false;
        let idle = queue.lines.is_empty();
        if idle {
            self.gone.notify_all();
        }
        if !well {
            queue.drop_line();
            return None;
        }
        let say = idle || said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY);
        (say && queue.dropped > 0).then(|| std::mem::take(&mut queue.dropped))
    }

    /// Writes whatever comes, for as long as the process lives: what panics costs a line.
    fn keep_writing(&self, mut out: impl Write) {
        self.lock().writer = Some(thread::current().id());
        let mut torn = false;
        loop {
            let write = AssertUnwindSafe(|| self.write_all_that_come(&mut out, &mut torn));
            if catch_unwind(write).is_err() {
                counter!("reveille_loop_restarts_total", "loop" => "log").increment(1);
                self.panicked();
            }
        }
    }

    /// The line that was being written, if one was, is lost.
    fn panicked(&self) {
        if self.lock().writing {
            self.wrote(false, None);
        }
    }

    fn write_all_that_come(&self, out: &mut impl Write, torn: &mut bool) {
        let mut said_at = None;
        loop {
            let line = self.next();
            let well = write_line(out, &line, torn).is_ok();
            if let Some(lines) = self.wrote(well, said_at) {
                said_at = Some(Instant::now());
                tracing::warn!(
                    lines,
                    "log lines were dropped: standard error could not be written, or not as fast as they came"
                );
            }
        }
    }

    /// Waits until every line is written, but not longer than this.
    pub(super) fn flush(&self, within: Duration) {
        let waits = |queue: &mut Queue| !queue.lines.is_empty() || queue.writing;
        let _ = self.gone.wait_timeout_while(self.lock(), within, waits);
    }
}

impl Queue {
    fn drop_line(&mut self) {
        self.dropped += 1;
        counter!("reveille_log_lines_dropped_total").increment(1);
    }
}

/// Starts the thread that writes.
pub(super) fn start() -> io::Result<()> {
    let write = || LINES.keep_writing(io::stderr());
    thread::Builder::new().name("log".into()).spawn(write).map(drop)
}

/// Writes a line as a whole; one that was torn by an error is ended first. `out` may be a pipe that
/// does not block, because another process has made it so.
fn write_line(out: &mut impl Write, line: &[u8], torn: &mut bool) -> io::Result<()> {
    let mut rest = line;
    if *torn {
        write_some(out, b"\n")?;
        *torn = false;
    }
    while !rest.is_empty() {
        let written = write_some(out, rest)?;
        rest = &rest[written..];
        *torn = !rest.is_empty();
    }
    Ok(())
}

fn write_some(out: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PAUSE),
            Err(error) => return Err(error),
        }
    }
}

/// Writes this to standard error, as what a process says last: it does not wait for a reader for
/// ever.
pub(crate) fn last_words(text: String) {
    let (tell, told) = std::sync::mpsc::channel();
    let write = move || {
        let written = write_line(&mut io::stderr(), text.as_bytes(), &mut false);
        let _ = tell.send(written);
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = told.recv_timeout(LAST_WORDS_WITHIN);
    }
}

/// One event; tracing-subscriber writes each at once.
pub(super) struct Line(&'static Lines);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'writer> MakeWriter<'writer> for &'static Lines {
    type Writer = Line;

    fn make_writer(&'writer self) -> Line {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Takes so many bytes, then fails once.
    struct Torn(Vec<u8>, Option<usize>);

    impl Write for Torn {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.1.take() {
                Some(0) => Err(ErrorKind::StorageFull.into()),
                Some(most) => {
                    self.1 = Some(0);
                    self.0.write(&bytes[..most.min(bytes.len())])
                }
                None => self.0.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_after_one_that_was_torn_begins_anew() {
        let (mut out, mut torn) = (Torn(Vec::new(), Some(3)), false);
        assert!(write_line(&mut out, b"first\n", &mut torn).is_err());
        write_line(&mut out, b"second\n", &mut torn).unwrap();
        write_line(&mut out, b"third\n", &mut torn).unwrap();
        assert_eq!(out.0, b"fir\nsecond\nthird\n");
    }

    /// Panics once, when it is to write for the second time.
    struct Panics(Arc<Mutex<(u32, Vec<u8>)>>);

    impl Write for Panics {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.0 += 1;
            assert!(written.0 != 2, "no way");
            written.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_of_the_thread_that_writes_costs_one_line_and_the_next_is_written() {
        let lines: &Lines = Box::leak(Box::new(Lines::new()));
        let out = Arc::<Mutex<(u32, Vec<u8>)>>::default();
        for line in ["first\n", "second\n", "third\n"] {
            lines.push(line.as_bytes());
        }
        let written = Panics(out.clone());
        thread::spawn(|| lines.keep_writing(written));
        lines.flush(Duration::from_secs(10));
        assert!(!lines.lock().writing, "a line is being written for ever");
        let written = out.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        assert_eq!(String::from_utf8_lossy(&written), "first\nthird\n");
    }

    #[test]
    fn lines_beyond_the_bounds_are_dropped_and_counted_and_that_is_said_once_there_is_room() {
        let held = |lines: &Lines| {
            let queue = lines.lock();
            (queue.lines.len(), queue.dropped)
        };
        let lines = Lines::new();
        for _ in 0..LINES_MOST + 3 {
            lines.push(b"line\n");
        }
        assert_eq!(held(&lines), (LINES_MOST, 3));
        drop(lines.next());
        assert_eq!(lines.wrote(false, None), None, "it cannot be written yet");
        drop(lines.next());
        assert_eq!(lines.wrote(true, Some(Instant::now())), None, "it was said a moment ago");
        drop(lines.next());
        assert_eq!(lines.wrote(true, None), Some(4));

        let lines = Lines::new();
        lines.push(&vec![b'x'; BYTES_MOST]);
        lines.push(b"line\n");
        assert_eq!(held(&lines), (1, 1));
        drop(lines.next());
        assert_eq!(
            lines.wrote(true, Some(Instant::now())),
            Some(1),
            "nothing else is to be written"
        );
    }
}
