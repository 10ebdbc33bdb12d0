//! Mozilla's autoconfig file (`clientConfig` 1.1), as many providers publish it: servers for a mail domain.
//!
//! Pure: the text comes from a file that the user names. Nothing in it is trusted further than what the user could have
//! typed: servers without TLS are passed over unless they are this machine, and so are endpoints that are not https.
//! Documented at wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat. Fetching it was rejected: the places
//! where it may stand are many, some are asked in the clear, and the answer would choose where credentials go.

use super::{Protocol, is_host, is_loopback};
use crate::net::{Endpoint, Tls};
use roxmltree::{Document, Node, ParsingOptions};
use url::Url;

/// A file of a few servers has some hundred nodes.
const MOST_NODES: u32 = 10_000;

/// What the file says about one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autoconfig {
    /// By which protocol mail is fetched.
    pub protocol: Protocol,
    /// The server to fetch it from.
    pub incoming: Endpoint,
    /// The submission server, if there is one.
    pub smtp: Option<Endpoint>,
    /// The login name.
    pub user: String,
    /// Where tokens come from, where that server takes them.
    pub oauth: Option<Issuer>,
}

/// The OAuth2 endpoints of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Where the browser goes.
    pub authorize_url: Url,
    /// Where tokens come from.
    pub token_url: Url,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
}

impl Autoconfig {
    /// Reads the text of the file for an address: its IMAP server, or its POP3 server where that is `wanted` or the only one.
    ///
    /// # Errors
    /// In words, what is wrong or missing.
    pub fn read(text: &str, address: &str, wanted: Option<Protocol>) -> Result<Autoconfig, String> {
        let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options)
            .map_err(|error| format!("this is no autoconfig file: {error}"))?;
        let root = document.root_element();
        if !root.has_tag_name("clientConfig") {
            return Err(format!(
                "this is no autoconfig file: it begins with <{}>, expected <clientConfig>",
                root.tag_name().name()
            ));
        }
        let servers = |tag: &'static str, kind: &'static str| {
            let all = root.descendants().filter(move |node| node.has_tag_name(tag));
            all.filter(move |node| node.attribute("type") == Some(kind))
        };
        let incoming = |kind, protocol| {
            let found = servers("incomingServer", kind).find_map(|node| Some((endpoint(node)?, node)));
            found.filter(|_| wanted.is_none_or(|wanted| wanted == protocol)).map(|found| (protocol, found))
        };
        let found = incoming("imap", Protocol::Imap).or_else(|| incoming("pop3", Protocol::Pop));
        let (protocol, (incoming, node)) = found.ok_or_else(|| {
            let kind = match wanted {
                None => "IMAP or POP3",
                Some(Protocol::Pop) => "POP3",
                Some(_) => "IMAP",
            };
            format!("it names no {kind} server that is reached by TLS")
        })?;
        let takes_tokens = node.children().any(|child| {
            child.has_tag_name("authentication") && child.text().is_some_and(|it| it.trim() == "OAuth2")
        });
        Ok(Autoconfig {
            user: filled(text_of(node, "username").unwrap_or("%EMAILADDRESS%"), address),
            smtp: servers("outgoingServer", "smtp").find_map(endpoint),
            oauth: takes_tokens.then(|| issuer(root)).flatten(),
            protocol,
            incoming,
        })
    }
}

fn endpoint(node: Node<'_, '_>) -> Option<Endpoint> {
    let host = text_of(node, "hostname").filter(|host| is_host(host))?.to_owned();
    let port = text_of(node, "port")?.parse().ok().filter(|&port| port > 0)?;
    let tls = match text_of(node, "socketType")? {
        "SSL" => Tls::Implicit,
        "STARTTLS" => Tls::StartTls,
        "plain" if is_loopback(&host) => Tls::None,
        _ => return None,
    };
    Some(Endpoint { host, port, tls, ca: None })
}

fn issuer(root: Node<'_, '_>) -> Option<Issuer> {
    let node = root.descendants().find(|node| node.has_tag_name("oAuth2"))?;
    let url = |tag| {
        let url = Url::parse(text_of(node, tag)?).ok()?;
        let is_local = url.scheme() == "http" && url.host_str().is_some_and(is_loopback);
        (url.scheme() == "https" || is_local).then_some(url)
    };
    let scopes = text_of(node, "scope").unwrap_or_default();
    Some(Issuer {
        authorize_url: url("authURL")?,
        token_url: url("tokenURL")?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
    })
}

fn text_of<'a>(node: Node<'a, '_>, tag: &str) -> Option<&'a str> {
    let child = node.children().find(|child| child.has_tag_name(tag))?;
    child.text().map(str::trim).filter(|text| !text.is_empty())
}

/// The placeholders that a login name may hold.
fn filled(template: &str, address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let whole = template.replace("%EMAILADDRESS%", address);
    whole.replace("%EMAILLOCALPART%", local).replace("%EMAILDOMAIN%", domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="mail.test"><domain>mail.test</domain>
<incomingServer type="pop3"><hostname>pop.mail.test</hostname><port>995</port><socketType>SSL</socketType></incomingServer>
<incomingServer type="imap"><hostname>imap.mail.test</hostname><port>143</port><socketType>plain</socketType></incomingServer>
<incomingServer type="imap"><hostname>imap.mail.test</hostname><port>993</port><socketType>SSL</socketType>
  <username>%EMAILLOCALPART%</username><authentication>OAuth2</authentication></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.mail.test</hostname><port>587</port><socketType>STARTTLS</socketType></outgoingServer>
</emailProvider>
<oAuth2><issuer>mail.test</issuer><scope>mail offline</scope><authURL>https://login.mail.test/auth</authURL>
<tokenURL>https://login.mail.test/token</tokenURL></oAuth2></clientConfig>"#;

    #[test]
    fn the_first_protected_servers_are_taken() {
        let found = Autoconfig::read(FILE, "alice@mail.test", None).unwrap();
        assert_eq!(
            (found.incoming.to_string().as_str(), found.incoming.tls),
            ("imap.mail.test:993", Tls::Implicit)
        );
        let smtp = found.smtp.unwrap();
        assert_eq!((smtp.to_string().as_str(), smtp.tls), ("smtp.mail.test:587", Tls::StartTls));
        assert_eq!(found.user, "alice");
        assert_eq!(found.oauth.unwrap().scopes, ["mail", "offline"]);
    }

    #[test]
    fn pop3_is_taken_where_it_is_wanted_or_the_only_one() {
        let of = |text: &str, wanted| Autoconfig::read(text, "alice@mail.test", wanted);
        let pop = |found: Autoconfig| (found.protocol, found.incoming.to_string(), found.user);
        let expected = (Protocol::Pop, "pop.mail.test:995".to_owned(), "alice@mail.test".to_owned());
        assert_eq!(pop(of(FILE, Some(Protocol::Pop)).unwrap()), expected);
        let without = FILE.replace("type=\"imap\"", "type=\"exchange\"");
        assert_eq!(pop(of(&without, None).unwrap()), expected);
        assert!(of(&without, Some(Protocol::Imap)).unwrap_err().contains("no IMAP server"));
    }

    #[test]
    fn a_password_server_and_an_endpoint_in_the_clear_have_no_issuer() {
        let password = FILE.replace("OAuth2</authentication>", "password-cleartext</authentication>");
        assert_eq!(Autoconfig::read(&password, "alice@mail.test", None).unwrap().oauth, None);
        let clear = FILE.replace("https://login.mail.test/token", "http://login.mail.test/token");
        assert_eq!(Autoconfig::read(&clear, "alice@mail.test", None).unwrap().oauth, None);
    }

    #[test]
    fn other_texts_are_refused_in_words() {
        let refused = |text: &str| Autoconfig::read(text, "alice@mail.test", None).unwrap_err();
        assert!(refused("").contains("no autoconfig file"));
        assert!(refused("<html/>").contains("begins with <html>"));
        assert!(refused(&FILE.replace("SSL", "plain")).contains("names no IMAP or POP3 server"));
        let bomb = format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{}", FILE.replace("<?xml version=\"1.0\"?>", ""));
        assert!(refused(&bomb).contains("no autoconfig file"));
        assert!(
            refused(&format!("<clientConfig>{}</clientConfig>", "<a/>".repeat(10_001)))
                .contains("autoconfig")
        );
    }
}
