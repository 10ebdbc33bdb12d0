//! Headless Chromium, driven over its debugging pipe: what a person sees and clicks.
//!
//! Messages are JSON ended by NUL on descriptors 3 and 4; a shell moves them there, which Rust cannot without unsafe
//! code. Each browser has a profile of its own and ends with its value. Rejected: a driver crate, because those bring
//! a second TLS stack or a WebSocket for what one pipe does.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::skip::skip;
use super::wait::{PATIENCE, some_within, until, until_some};

/// A browser with one page.
pub struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    serial: u64,
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; none, and a loud line, where Chromium cannot be had (tests/install-deps installs it). Without the
    /// sandbox, which needs privileges that a container lacks: it opens test pages only.
    pub fn start() -> Option<Browser> {
        let Some(program) = program() else {
            skip("no chromium here, so no page was looked at (tests/install-deps test installs it)");
            return None;
        };
        let profile = tempfile::Builder::new().prefix("posthaste-browser-").tempdir().unwrap();
        let data = format!("--user-data-dir={}", profile.path().display());
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", program])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            // Nothing but this machine can be reached, whatever a page wants to load.
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
            .args(["--no-proxy-server", "--disable-background-networking", "--remote-debugging-pipe", &data])
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromium can be run");
        let (commands, mut output) =
            (process.stdin.take().unwrap(), process.stdout.take().map(BufReader::new).unwrap());
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                if serde_json::from_slice(&message).is_ok_and(|message: Value| send.send(message).is_err()) {
                    return;
                }
                message.clear();
            }
        });
        let (serial, complaints) = (0, Vec::new());
        let mut browser =
            Browser { process, commands, messages, session: None, serial, complaints, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for method in ["Page.enable", "Log.enable", "Runtime.enable"] {
            browser.call(method, json!({}));
        }
        Some(browser)
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert_eq!(opened["errorText"], Value::Null, "{url}");
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Clicks what a CSS selector names.
    pub fn click(&mut self, selector: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.wait(&format!("!!{found}"));
        self.evaluate(&format!("{found}.click()"));
    }

    /// Types into a field.
    pub fn fill(&mut self, selector: &str, text: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.wait(&format!("!!{found}"));
        self.evaluate(&format!("{found}.value = {}", json!(text)));
    }

    /// Waits until the page's text holds `words`; the text.
    pub fn wait_text(&mut self, words: &str) -> String {
        let found = some_within(PATIENCE, || Some(self.text()).filter(|text| text.contains(words)));
        found.unwrap_or_else(|| panic!("no {words:?} at {}: {}", self.address(), self.text()))
    }

    /// The page's text as a person reads it.
    pub fn text(&mut self) -> String {
        let text = self.evaluate("document.body ? document.body.innerText : ''");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The address of the page.
    pub fn address(&mut self) -> String {
        self.evaluate("location.href").as_str().unwrap_or_default().to_owned()
    }

    /// The value of an expression; null while a page is being changed for another.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let found = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        found["result"]["value"].clone()
    }

    /// What the browser complained about so far, like a style that the page's own policy blocks.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Makes the page see a dark desktop.
    pub fn prefer_dark(&mut self) {
        let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        self.call("Emulation.setEmulatedMedia", dark);
    }

    /// Writes a PNG of the page.
    pub fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let png = BASE64_STANDARD.decode(shot["data"].as_str().expect("a picture")).unwrap();
        std::fs::write(path, png).expect("the picture can be written");
    }

    fn wait(&mut self, condition: &str) {
        until(PATIENCE, condition, || self.evaluate(condition) == true);
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.serial += 1;
        let id = self.serial;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).expect("chromium runs");
        let (messages, complaints) = (&self.messages, &mut self.complaints);
        until_some(PATIENCE, method, || {
            let message = messages.recv_timeout(Duration::from_secs(1)).ok()?;
            let entry = &message["params"]["entry"];
            // A page under a 4xx or 5xx status is noted too; that is how a refusal is said.
            if message["method"] == "Log.entryAdded" && entry["source"] != "network" {
                complaints.push(entry["text"].to_string());
            }
            (message["id"] == id).then(|| message["result"].clone())
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<&'static str> {
    let places = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"];
    places.into_iter().find(|path| Path::new(path).exists())
}
