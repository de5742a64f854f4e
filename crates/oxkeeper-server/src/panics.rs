//! Whoever dies takes the process along.
//!
//! A server without its core thread, its disk thread or one of those that serve connections holds its ports open and answers
//! nobody, so clients and the other servers wait for it. Release builds end at a panic by themselves (`panic = "abort"`); the hook
//! here ends every build, before the stack unwinds and others meet what the thread left half done.

use std::io::Write;

/// From here on a panic of any thread ends the process, with SIGABRT (exit code 134 in a shell) behind its message.
pub fn end_the_process() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        let thread = std::thread::current();
        // There may be nobody to read it; then the end speaks for itself.
        let _ = writeln!(
            std::io::stderr(),
            "thread {} has failed by a fault of this program, so the process ends; nothing that was acknowledged is lost. \
             Start it again, and report the lines above.",
            thread.name().unwrap_or("without a name")
        );
        std::process::abort();
    }));
}
