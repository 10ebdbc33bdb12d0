//! A command at a terminal: what it shows is read as a person would read it, and answered line by line.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::wait::{PATIENCE, until, until_some};

/// A running command with a terminal of its own; killed with its value.
pub struct Terminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    /// Starts the command with a terminal for input and both outputs.
    pub fn run(mut command: Command) -> Terminal {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let path = ptsname(&controller, Vec::new()).unwrap().into_bytes();
        let path = std::ffi::OsString::from_vec(path);
        let open = || OpenOptions::new().read(true).write(true).open(&path).expect("the terminal opens");
        command.stdin(open()).stdout(open()).stderr(open());
        let child = command.spawn().expect("posthaste can be run");
        // Else the command's end of the terminal would stay open here.
        drop(command);
        let keyboard = File::from(controller);
        let mut screen = keyboard.try_clone().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let seen = shown.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the last process is an error here (EIO).
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Terminal { child, keyboard, shown }
    }

    /// All that was shown so far.
    pub fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until this is shown.
    pub fn expect(&self, text: &str) {
        until(PATIENCE, &format!("`{text}` on the terminal"), || self.shown().contains(text));
    }

    /// Waits until this is asked, and answers.
    pub fn answer(&mut self, question: &str, answer: &str) {
        self.expect(question);
        writeln!(self.keyboard, "{answer}").unwrap();
    }

    /// Presses a key that sends this character, without an Enter.
    pub fn press(&mut self, key: char) {
        write!(self.keyboard, "{key}").unwrap();
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        let settings = rustix::termios::tcgetattr(&self.keyboard).unwrap();
        settings.local_modes.contains(rustix::termios::LocalModes::ECHO)
    }

    /// What Ctrl-C does where a shell has made this its terminal.
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Its end.
    pub fn wait(&mut self) -> ExitStatus {
        until_some(PATIENCE, "the command to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- on the terminal\n{}", self.shown());
        }
    }
}
