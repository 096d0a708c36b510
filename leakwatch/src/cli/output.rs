//! Where output goes: tables for people, JSON for programs, colours only on a terminal that wants them.

use crate::cli::args::Form;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::config::Environment;
use serde::Serialize;
use std::io;
use std::io::IsTerminal;
use std::io::Write;

/// The output of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    form: Form,
    colours: bool,
    log_colours: bool,
    terminal: bool,
}

/// What a piece of text is, for colours.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    /// A heading.
    Strong,
    /// Something is wrong.
    Bad,
    /// Something may be wrong.
    Warn,
    /// All is well.
    Good,
    /// Less important.
    Faint,
}

impl Output {
    /// By flag, else by `LEAKWATCH_OUTPUT`; `NO_COLOR` is respected.
    pub(crate) fn new(form: Option<Form>, environment: &Environment) -> Result<Self, CliError> {
        let variable = environment.variables.get("LEAKWATCH_OUTPUT").map(String::as_str);
        let form = match (form, variable) {
            (Some(form), _) => form,
            (None, None | Some("" | "table")) => Form::Table,
            (None, Some("json")) => Form::Json,
            (None, Some(other)) => {
                return Err(CliError::Usage(format!(
                    "LEAKWATCH_OUTPUT is {other:?}, expected table or json"
                )));
            }
        };
        let terminal = io::stdout().is_terminal();
        let no_color = environment
            .variables
            .get("NO_COLOR")
            .is_some_and(|value| !value.is_empty());
        Ok(Self {
            form,
            colours: terminal && !no_color,
            log_colours: io::stderr().is_terminal() && !no_color,
            terminal,
        })
    }

    /// Whether a program reads it.
    pub(crate) fn is_json(self) -> bool {
        self.form == Form::Json
    }

    /// Whether a person looks at it right now.
    pub(crate) fn is_terminal(self) -> bool {
        self.terminal
    }

    /// Whether the log may have colours.
    pub(crate) fn log_colours(self) -> bool {
        self.log_colours
    }

    /// Text in a style.
    pub(crate) fn styled(self, style: Style, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match style {
            Style::Strong => 1,
            Style::Bad => 31,
            Style::Warn => 33,
            Style::Good => 32,
            Style::Faint => 2,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A line of text.
    pub(crate) fn line(self, text: &str) -> Result<Exit, CliError> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Text as it is.
    pub(crate) fn text(self, text: &str) -> Result<Exit, CliError> {
        self.bytes(text.as_bytes())
    }

    /// Bytes as they are.
    #[expect(clippy::unused_self, reason = "there is one way out")]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<Exit, CliError> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(CliError::Output)?;
        Ok(Exit::Fine)
    }

    /// A body as JSON.
    pub(crate) fn json(self, body: &impl Serialize) -> Result<Exit, CliError> {
        let text = serde_json::to_string_pretty(body).map_err(|error| CliError::Output(error.into()))?;
        self.line(&text)
    }

    /// Something beside the output.
    #[expect(clippy::unused_self, reason = "there is one way out")]
    pub(crate) fn note(self, text: &str) {
        // Nobody reads it any more: there is nobody to tell.
        let _closed = writeln!(io::stderr(), "leakwatch: {text}");
    }
}
