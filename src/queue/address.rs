//! Address lists of header fields (RFC 5322 §3.4, with its obsolete forms), down to what goes into an envelope.
//!
//! Pure, and linear in the input: comments nest by a counter, not by recursion. Tolerant of groups, comments, quoted local
//! parts, routes, empty elements and `;` between addresses; but never "send to what parses": one element that is no
//! address refuses the list, because the person meant somebody by it.

use std::fmt;

/// Longest address in octets (RFC 5321 §4.5.3.1.3 has 256; UTF-8 takes more).
const MAX_ADDRESS: usize = 512;

/// An address that is safe inside the angle brackets of MAIL and RCPT: no control character, no `<` or `>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

/// An element of a list that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mail address")]
pub struct BadAddress(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// An atom with its dots, or a domain literal.
    Atom(String),
    /// A quoted string, with its quotes.
    Quoted(String),
    /// One of `<>,;:@`.
    Special(char),
}

impl Address {
    /// One address and nothing else.
    pub fn parse(text: &str) -> Result<Address, BadAddress> {
        match <[Address; 1]>::try_from(parse_list(text)?) {
            Ok([address]) => Ok(address),
            Err(_) => Err(bad(text)),
        }
    }

    /// The address as it goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the last `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether both are one mailbox: domains have no case, local parts may.
    pub fn is_same(&self, other: &Address) -> bool {
        match (self.0.rsplit_once('@'), other.0.rsplit_once('@')) {
            (Some((local, domain)), Some((other_local, other_domain))) => {
                local == other_local && domain.eq_ignore_ascii_case(other_domain)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Every address in an unfolded field value, in order, groups resolved.
pub(super) fn parse_list(text: &str) -> Result<Vec<Address>, BadAddress> {
    let tokens = tokens(text)?;
    let mut addresses = Vec::new();
    let mut element: Vec<&Token> = Vec::new();
    let (mut in_angle, mut in_group) = (false, false);
    for token in &tokens {
        match token {
            Token::Special('<') => in_angle = true,
            Token::Special('>') => in_angle = false,
            // A group: what was read so far is its name, unless somebody may be meant by it.
            Token::Special(':') if !in_angle => {
                if in_group || element.iter().any(|token| matches!(token, Token::Special(_))) {
                    return Err(bad(&text_of(&element)));
                }
                in_group = true;
                element.clear();
                continue;
            }
            Token::Special(end @ (',' | ';')) if !in_angle => {
                in_group &= *end == ',';
                addresses.extend(mailbox(&element)?);
                element.clear();
                continue;
            }
            _ => {}
        }
        element.push(token);
    }
    addresses.extend(mailbox(&element)?);
    Ok(addresses)
}

/// `name <address>` or a bare address; nothing for an empty element.
fn mailbox(element: &[&Token]) -> Result<Option<Address>, BadAddress> {
    if element.is_empty() {
        return Ok(None);
    }
    let open = element.iter().position(|token| **token == Token::Special('<'));
    let inside = match (open, element.split_last()) {
        (None, _) => element,
        (Some(open), Some((Token::Special('>'), before))) => {
            after_route(before.get(open + 1..).unwrap_or(&[]))
        }
        _ => return Err(bad(&text_of(element))),
    };
    address(inside).map(Some).ok_or_else(|| bad(&text_of(element)))
}

/// Leaves out an obsolete source route: `@one,@two:`.
fn after_route<'a, 'b>(inside: &'a [&'b Token]) -> &'a [&'b Token] {
    let colon = inside.iter().position(|token| **token == Token::Special(':'));
    match (inside.first(), colon) {
        (Some(Token::Special('@')), Some(colon)) => inside.get(colon + 1..).unwrap_or(&[]),
        _ => inside,
    }
}

/// local-part `@` domain, blanks around dots allowed.
fn address(tokens: &[&Token]) -> Option<Address> {
    let at = tokens.iter().position(|token| **token == Token::Special('@'))?;
    let (local, domain) = (joined(tokens.get(..at)?)?, joined(tokens.get(at + 1..)?)?);
    let address = format!("{local}@{domain}");
    let is_sound = address.len() <= MAX_ADDRESS
        && is_local(&local)
        && is_domain(&domain)
        && !address.contains(|c: char| c.is_control() || matches!(c, '<' | '>' | '\u{fffd}'));
    is_sound.then_some(Address(address))
}

/// Words put together; two words without a dot between them are no part of an address.
fn joined(words: &[&Token]) -> Option<String> {
    let mut all = String::new();
    for word in words {
        let (Token::Atom(text) | Token::Quoted(text)) = word else { return None };
        if !all.is_empty() && !all.ends_with('.') && !text.starts_with('.') {
            return None;
        }
        all.push_str(text);
    }
    Some(all)
}

/// Two dots in a row are against the rule and in use (docomo); none at the ends of an atom.
fn is_local(local: &str) -> bool {
    !local.is_empty() && !local.starts_with('.') && !local.ends_with('.')
}

fn is_domain(domain: &str) -> bool {
    if domain.starts_with('[') {
        return domain.ends_with(']') && domain.len() > 2;
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c) || !c.is_ascii())
    };
    domain.split('.').all(is_label)
}

fn tokens(text: &str) -> Result<Vec<Token>, BadAddress> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' => {}
            '(' => skip_comment(&mut rest).ok_or_else(|| bad(text))?,
            '"' => tokens.push(Token::Quoted(until(c, '"', &mut rest).ok_or_else(|| bad(text))?)),
            '[' => tokens.push(Token::Atom(until(c, ']', &mut rest).ok_or_else(|| bad(text))?)),
            '<' | '>' | ',' | ';' | ':' | '@' => tokens.push(Token::Special(c)),
            _ => {
                let mut atom = String::from(c);
                while let Some(next) = rest.next_if(|&next| !" \t(\"[<>,;:@".contains(next)) {
                    atom.push(next);
                }
                tokens.push(Token::Atom(atom));
            }
        }
    }
    Ok(tokens)
}

/// Past the end of a comment whose `(` was read.
fn skip_comment(rest: &mut impl Iterator<Item = char>) -> Option<()> {
    let mut depth = 1_u32;
    while depth > 0 {
        match rest.next()? {
            '\\' => drop(rest.next()),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
    }
    Some(())
}

/// A quoted string or domain literal with its delimiters, escapes kept.
fn until(open: char, close: char, rest: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut text = String::from(open);
    loop {
        let c = rest.next()?;
        text.push(c);
        match c {
            '\\' => text.push(rest.next()?),
            c if c == close => return Some(text),
            _ => {}
        }
    }
}

/// An element as far as it matters in an error message.
fn text_of(element: &[&Token]) -> String {
    let words = element.iter().map(|token| match token {
        Token::Atom(text) | Token::Quoted(text) => text.clone(),
        Token::Special(c) => c.to_string(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn bad(text: &str) -> BadAddress {
    BadAddress(text.trim().chars().take(100).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> Vec<String> {
        parse_list(text).unwrap().iter().map(Address::to_string).collect()
    }

    #[test]
    fn every_form_of_rfc_5322_gives_its_address() {
        let cases: [(&str, &[&str]); 17] = [
            ("a@x.y", &["a@x.y"]),
            ("Ann <a@x>, Bob <b@x>", &["a@x", "b@x"]),
            ("\"Last, First\" <a@x>", &["a@x"]),
            ("=?utf-8?q?=C3=89?= <a@x>", &["a@x"]),
            ("undisclosed-recipients:;", &[]),
            ("Friends: a@x, Bob <b@x>; c@x", &["a@x", "b@x", "c@x"]),
            ("Friends: a@x; Work: b@x;", &["a@x", "b@x"]),
            ("\"john doe\"@x", &["\"john doe\"@x"]),
            ("\"a@b\"@x", &["\"a@b\"@x"]),
            ("a(comment (nested \\) one))@(here)x", &["a@x"]),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", &["pete@silly.test"]),
            ("john . smith @ x . y", &["john.smith@x.y"]),
            ("<@one.test,@two.test:a@x>", &["a@x"]),
            (" , a@x,, b@x ; ", &["a@x", "b@x"]),
            ("a@[192.0.2.1], b@[IPv6:2001:db8::1]", &["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]),
            ("é@exämple.test", &["é@exämple.test"]),
            ("a@home <b@x>", &["b@x"]),
        ];
        for (text, expected) in cases {
            assert_eq!(list(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_refuses_the_list() {
        for text in [
            "alice",
            "a@x, bob",
            "a@",
            "@x",
            "a@x y",
            "a b@x",
            "<>",
            "<a@x",
            "a@x>",
            "<a@x> b",
            "<<a@x>>",
            "a@x@y",
            "a@.x",
            "a@x..y",
            ".a@x",
            "a@x/y",
            "a@x: b@x",
            "a@x>: b@x",
            "Ann <a@x>: b@x",
            "a@x, b@x: c@x",
            "Friends: a@x, Work: b@x;",
            "Friends: Work: b@x;",
            "\"a",
            "(a@x",
            "\"a\r\nRCPT TO:<b>\"@x",
            "a\0@x",
            "\"<\"@x",
            "a@[",
            "a@[]",
        ] {
            assert!(parse_list(text).is_err(), "{text:?} gave {:?}", parse_list(text));
        }
        assert!(parse_list(&format!("{}@x", "a".repeat(600))).is_err());
        assert!(Address::parse("a@x, b@x").is_err());
        assert!(Address::parse("").is_err());
    }

    #[test]
    fn domains_have_no_case_and_local_parts_do() {
        let address = |text| Address::parse(text).unwrap();
        assert!(address("a@X.y").is_same(&address("a@x.Y")));
        assert!(!address("A@x").is_same(&address("a@x")));
        assert_eq!(address("\"a@b\"@x").domain(), "x");
    }

    #[test]
    fn a_bomb_of_comments_is_linear() {
        assert!(parse_list(&"(".repeat(200_000)).is_err());
        assert_eq!(list(&format!("{}{}a@x", "(".repeat(100_000), ")".repeat(100_000))), ["a@x"]);
    }

    proptest! {
        #[test]
        fn whatever_comes_out_stays_inside_its_brackets(text in "[a@x.<>,;:\"()\\[\\] \\\\\r\n\0é-]{0,40}") {
            for address in parse_list(&text).unwrap_or_default() {
                prop_assert!(!address.as_str().contains(['<', '>', '\r', '\n', '\0']));
                prop_assert!(address.as_str().contains('@') && !address.domain().is_empty());
            }
        }
    }
}
