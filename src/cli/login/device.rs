//! `login --device`: a code on this screen, typed in or photographed elsewhere.
//!
//! The address and the code are shown, never opened: who reads them has begun this login, which is all that protects
//! against a code that somebody else sent (RFC 8628 §5.4).

use super::Subject;
use crate::cli::error::CommandError;
use crate::cli::{Context, output};
use crate::oauth::flow;
use crate::oauth::flow::device::{self, Invitation};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// Black on white whatever the terminal's colours are, as cameras want it (ECMA-48 SGR).
const PAPER: &str = "\u{1b}[30;107m";
const PLAIN: &str = "\u{1b}[0m";

pub(super) async fn log_in(context: &Context, subject: &Subject<'_>) -> Result<(), CommandError> {
    let granted = run(context, subject).await.map_err(|error| subject.failed(&error))?;
    subject.adopted(subject.keeper.adopt(granted).await)
}

async fn run(context: &Context, subject: &Subject<'_>) -> Result<flow::Granted, flow::Error> {
    let device_url =
        subject.oauth.device_url.as_ref().ok_or(flow::Error::NoEndpoint { key: "device_url" })?;
    let invitation = device::begin(subject.keeper.config(), device_url).await?;
    let direct = invitation.direct.as_ref().unwrap_or(&invitation.address);
    let picture = picture(direct.as_str(), context.environment.allows_colour);
    let picture = picture.filter(|picture| output::has_room_for(picture.columns));
    output::complain(&shown(&subject.account.name, &invitation, picture));
    invitation.wait(subject.keeper.config()).await
}

/// What the person needs to know.
fn shown(account: &str, invitation: &Invitation, picture: Option<Picture>) -> String {
    let (address, code) = (&invitation.address, output::harmless(&invitation.user_code));
    let picture = picture.map(|picture| format!("\n{}\n", picture.lines)).unwrap_or_default();
    let minutes = invitation.life.as_secs().div_ceil(60);
    format!(
        "Log in to account {account} on any device: open\n\n  {address}\n\nand enter the code  {code}\n{picture}\n\
         It is good for {minutes} min, at that address only. Whoever sends you a code of theirs wants your mail.\n\
         Waiting; Ctrl-C ends the login."
    )
}

/// A QR code for a terminal.
struct Picture {
    lines: String,
    columns: usize,
}

/// The address as a QR code; none where it is too long for one.
fn picture(text: &str, colours: bool) -> Option<Picture> {
    let code = QrCode::new(text).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    if !colours {
        // Light squares are drawn: most terminals are dark.
        renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    }
    let drawn = renderer.build();
    let columns = drawn.lines().map(|line| line.chars().count()).max()?;
    let lines = match colours {
        true => drawn.lines().map(|line| format!("{PAPER}{line}{PLAIN}")).collect::<Vec<_>>().join("\n"),
        false => drawn,
    };
    Some(Picture { lines, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_square_framed_in_white_and_black_on_it() {
        let text = "https://login.test/device?code=ABCD-EFGH";
        let drawn = picture(text, true).unwrap();
        let lines: Vec<&str> = drawn.lines.lines().collect();
        assert!(lines.iter().all(|line| line.starts_with(PAPER) && line.ends_with(PLAIN)));
        let inner: Vec<&str> =
            lines.iter().map(|line| &line[PAPER.len()..line.len() - PLAIN.len()]).collect();
        let width = drawn.columns;
        assert!(inner.iter().all(|line| line.chars().count() == width));
        assert_eq!(inner.len(), width.div_ceil(2), "two rows in a line");
        assert!(inner[0].chars().all(|square| square == ' '), "the frame is white paper");
        let plain = picture(text, false).unwrap().lines;
        assert!(
            plain.lines().next().unwrap().chars().all(|square| square == '█') && !plain.contains('\u{1b}')
        );
    }
}
