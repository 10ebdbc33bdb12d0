//! What a server offers in its EHLO reply (RFC 5321 §4.1.1.1).
//!
//! Pure. Unknown keywords are ignored. Nothing learnt before TLS may be used after it, so a value is made anew from
//! each EHLO.

use super::reply::Reply;

/// The offers that this client uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// SIZE is offered, so MAIL may name the size (RFC 1870).
    pub size_offered: bool,
    /// The largest message in octets, where the server names one (0 means no limit).
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// The SASL mechanisms, upper case (RFC 4954).
    pub mechanisms: Vec<String>,
}

impl Capabilities {
    /// Reads the reply to EHLO; its first line is a greeting.
    pub fn from_reply(reply: &Reply) -> Capabilities {
        let mut offers = Capabilities::default();
        for line in reply.lines().skip(1) {
            offers.add(&line.to_ascii_uppercase());
        }
        offers
    }

    /// Whether the mechanism (upper case) is offered.
    pub fn offers_mechanism(&self, mechanism: &str) -> bool {
        self.mechanisms.iter().any(|offered| offered == mechanism)
    }

    fn add(&mut self, line: &str) {
        // `AUTH=LOGIN PLAIN` is an old spelling that some servers repeat beside the right one.
        let line = line.replacen("AUTH=", "AUTH ", 1);
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("SIZE") => {
                self.size_offered = true;
                self.size = words.next().and_then(|number| number.parse().ok()).filter(|&n| n > 0);
            }
            Some("8BITMIME") => self.eight_bit = true,
            Some("SMTPUTF8") => self.smtputf8 = true,
            Some("PIPELINING") => self.pipelining = true,
            Some("STARTTLS") => self.starttls = true,
            Some("AUTH") => self.mechanisms.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::Parser;
    use super::*;

    fn offers(lines: &[&str]) -> Capabilities {
        let mut parser = Parser::default();
        let replies: Vec<_> = lines.iter().map(|line| parser.line(line.as_bytes()).unwrap()).collect();
        Capabilities::from_reply(replies.last().unwrap().as_ref().unwrap())
    }

    #[test]
    fn reads_what_exchange_says() {
        let found = offers(&[
            "250-SN2PR05CA0001.outlook.office365.com Hello [203.0.113.7]",
            "250-SIZE 157286400",
            "250-PIPELINING",
            "250-DSN",
            "250-ENHANCEDSTATUSCODES",
            "250-AUTH LOGIN XOAUTH2",
            "250-8BITMIME",
            "250-BINARYMIME",
            "250-CHUNKING",
            "250 SMTPUTF8",
        ]);
        assert_eq!(found.size, Some(157_286_400));
        assert!(found.eight_bit && found.smtputf8 && found.pipelining && !found.starttls);
        assert!(found.offers_mechanism("XOAUTH2") && !found.offers_mechanism("PLAIN"));
    }

    #[test]
    fn odd_spellings_and_no_limit() {
        let found = offers(&["250-SIZE", "250-size 0", "250-auth=plain", "250 Auth xoauth2"]);
        assert_eq!((found.size_offered, found.size), (true, None));
        assert_eq!(found.mechanisms, ["PLAIN", "XOAUTH2"]);
        assert_eq!(offers(&["250 STARTTLS is my name"]), Capabilities::default());
        assert_eq!(offers(&["250-x", "250 SIZE 99999999999999999999999"]).size, None);
    }
}
