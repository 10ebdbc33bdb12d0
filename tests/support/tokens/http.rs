//! As much of HTTP/1.1 as the authorization server needs: one request per connection, bodies as forms (RFC 6749 App. B).

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Parameters of a query or of a posted form; the last of several wins, but see [`Request::ticked`].
pub(super) type Form = HashMap<String, String>;

/// A request that was read whole.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Form,
    pub(super) form: Form,
    /// Every `scope` box of the form that was ticked.
    pub(super) ticked: Vec<String>,
    /// User and password of `Authorization: Basic` (RFC 6749 §2.3.1).
    pub(super) basic: Option<(String, String)>,
}

impl Request {
    /// A parameter of the form, empty where it is missing.
    pub(super) fn posted(&self, name: &str) -> &str {
        self.form.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A parameter of the query, empty where it is missing.
    pub(super) fn asked(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Reads one.
    pub(super) fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (mut length, mut basic) = (0, None);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "authorization" => basic = credentials(value.trim()),
                _ => (),
            }
        }
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect::<Vec<_>>();
        let form = pairs(&body);
        let scopes = form.iter().filter(|(name, _)| name == "scope");
        Ok(Request {
            method,
            path: path.to_owned(),
            query: pairs(query.as_bytes()).into_iter().collect(),
            ticked: scopes.map(|(_, scope)| scope.clone()).collect(),
            form: form.into_iter().collect(),
            basic,
        })
    }
}

fn credentials(header: &str) -> Option<(String, String)> {
    let decoded = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    let plain = |text: &str| {
        let decoded = url::form_urlencoded::parse(text.as_bytes()).next();
        decoded.map(|(name, _)| name.into_owned()).unwrap_or_default()
    };
    Some((plain(user), plain(password)))
}

/// What goes back over the wire.
pub(super) enum Answer {
    /// Status, a header of its own, content type, body.
    Http(u16, Option<(&'static str, String)>, &'static str, String),
    /// A body that ends in the middle.
    Cut,
    /// Nothing until the client gives up.
    Stall,
    /// The end of the connection.
    Close,
}

impl Answer {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Answer {
        Answer::Http(status, None, "application/json", body.to_string())
    }

    /// A page for a person.
    pub(super) fn page(status: u16, title: &str, body: &str) -> Answer {
        let page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
             <body style='font:16px sans-serif;max-width:28em;margin:3em auto'><h1>{title}</h1>{body}</body></html>"
        );
        Answer::Http(status, None, "text/html; charset=utf-8", page)
    }

    /// Sends the browser on.
    pub(super) fn found(location: String) -> Answer {
        Answer::Http(302, Some(("Location", location)), "text/plain", String::new())
    }

    /// RFC 6749 §5.2.
    pub(super) fn error(status: u16, error: &str, description: &str) -> Answer {
        let body = serde_json::json!({"error": error, "error_description": description});
        Answer::json(status, &body)
    }

    /// The grant is no good (any more).
    pub(super) fn refused() -> Answer {
        Answer::error(400, "invalid_grant", "token was revoked")
    }

    /// Writes it.
    pub(super) fn write(self, reader: &mut BufReader<TcpStream>) -> std::io::Result<()> {
        match self {
            Answer::Http(status, header, kind, body) => {
                let header = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
                let length = body.len();
                write!(
                    reader.get_mut(),
                    "HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
                     {header}Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
                )
            }
            Answer::Cut => write!(
                reader.get_mut(),
                "HTTP/1.1 200 Scripted\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{{\"acc"
            ),
            Answer::Stall => std::io::copy(reader, &mut std::io::sink()).map(drop),
            Answer::Close => Ok(()),
        }
    }
}
