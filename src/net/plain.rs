//! OpenSSL's errors in words for a user. Pure.
//!
//! They come as `error:0A000086:SSL routines:function:reason:../ssl/file.c:1889:more`, several of them joined; only the
//! reason and what follows mean something to somebody who does not read OpenSSL's sources. The text is taken apart,
//! because behind native-tls nothing else is left of them.

/// The text with each error in it reduced to its reason.
pub fn plain(text: &str) -> String {
    let (mut words, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(START) {
        words.push_str(before);
        match reason(after) {
            Some((reason, more)) => {
                words.push_str(reason);
                if more.starts_with(char::is_alphanumeric) {
                    words.push_str(", ");
                }
                rest = more;
            }
            None => {
                words.push_str(START);
                rest = after;
            }
        }
    }
    words + rest
}

/// How each of them begins.
const START: &str = "error:";

/// The reason, and what follows the line number.
fn reason(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.splitn(7, ':');
    let (code, _library, _function, reason) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (_file, line, more) = (parts.next()?, parts.next()?, parts.next()?);
    let is_code = code.len() >= 8 && code.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_line = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    (is_code && is_line).then_some((reason, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reason_and_what_follows_is_left() {
        let verify = "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:\
                      ../ssl/statem/statem_clnt.c:1889:";
        assert_eq!(plain(verify), "certificate verify failed");
        assert_eq!(
            plain(&format!("no TLS: {verify} (self-signed certificate)")),
            "no TLS: certificate verify failed (self-signed certificate)"
        );
        let alert =
            "error:0A000418:SSL routines::tlsv1 alert unknown ca:ssl/record/rec.c:1586:SSL alert number 48";
        assert_eq!(
            plain(&format!("{verify}, {alert}")),
            "certificate verify failed, tlsv1 alert unknown ca, SSL alert number 48"
        );
    }

    #[test]
    fn other_words_stay_as_they_are() {
        for text in ["", "error: lost", "error:0A000086:a:b", "the error:xyz:a:b:c:d:1:", "connection reset"]
        {
            assert_eq!(plain(text), text);
        }
    }
}
