//! What time it is at the token endpoint: the Date of an HTTP answer (RFC 9110 §6.6.1).
//!
//! A clock that is wrong by minutes makes tokens and certificates look expired or not yet valid. The request carries
//! nothing: no token, no client. It is told apart from a refresh, so that asking for the time can rotate no token.

use super::endpoint::{http_client, is_loopback, is_safe};
use crate::task::off_reactor;
use jiff::Timestamp;
use reqwest::header::DATE;
use std::time::Duration;
use url::Url;

/// Time for the answer; who asks can do without.
const DEADLINE: Duration = Duration::from_secs(10);

/// The time at the host of the token endpoint; `None` where it cannot be asked or does not say.
pub async fn server_time(token_url: &Url) -> Option<Timestamp> {
    if !is_safe(token_url) {
        return None;
    }
    let is_local = is_loopback(token_url);
    let client = off_reactor(move || http_client(is_local)).await.ok()?;
    // Any answer has a Date, also the refusal of the method.
    let answer = tokio::time::timeout(DEADLINE, client.head(token_url.clone()).send()).await.ok()?.ok()?;
    parse(answer.headers().get(DATE)?.to_str().ok()?)
}

fn parse(date: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_http_is_read() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), "1994-11-06T08:49:37Z".parse().ok());
        assert_eq!(parse("yesterday"), None);
    }
}
