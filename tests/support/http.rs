//! A plain HTTP client that follows nothing by itself: what a browser would do is done step by step.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use url::Url;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status; 0 where the connection ended without one.
    pub status: u16,
    /// The head as it came.
    pub head: String,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// GET.
pub fn get(url: &str) -> Response {
    exchange(url, |host, target| {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    })
}

/// POST of a form.
pub fn post(url: &str, form: &[(&str, &str)]) -> Response {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    exchange(url, |host, target| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    })
}

fn exchange(url: &str, request: impl Fn(&str, &str) -> String) -> Response {
    let url = Url::parse(url).expect("a URL");
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut said = Vec::new();
    let mut stream = TcpStream::connect(&host).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request(&host, target).as_bytes()).unwrap();
    // A server that cuts the connection has said what it wanted.
    let _ = stream.read_to_end(&mut said);
    let text = String::from_utf8_lossy(&said).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Response { status, head: head.to_owned(), body: body.to_owned() }
}
