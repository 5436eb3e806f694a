//! How much the model thinks, and how that is shown.

use crate::open::open_enum;

open_enum! {
    /// How much effort the model puts into an answer. Levels a model does not have fall back.
    Effort {
        /// Quick answers.
        Low = "low",
        /// Moderate thinking.
        Medium = "medium",
        /// Deep reasoning.
        High = "high",
        /// Deeper still, where a model offers it.
        XHigh = "xhigh",
        /// As much as there is.
        Max = "max",
    }
}

open_enum! {
    /// What is reported of the model's thinking.
    ThinkingDisplay {
        /// A summary.
        Summarized = "summarized",
        /// Nothing.
        Omitted = "omitted",
        /// The main points; taken by `set_max_thinking_tokens` only.
        Highlights = "highlights",
    }
}

/// Whether and how much the model thinks before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Thinking {
    /// As much as the model sees fit.
    Adaptive {
        /// What is reported of it; `None` leaves that to the CLI.
        display: Option<ThinkingDisplay>,
    },
    /// At most so many tokens. Newer models treat this as on.
    Budget {
        /// The bound.
        tokens: u32,
        /// What is reported of it.
        display: Option<ThinkingDisplay>,
    },
    /// Not at all.
    Disabled,
}

impl Thinking {
    /// As much as the model sees fit.
    pub fn adaptive() -> Self {
        Self::Adaptive { display: None }
    }

    /// At most so many tokens.
    pub fn budget(tokens: u32) -> Self {
        Self::Budget { tokens, display: None }
    }

    /// Says what is reported; thinking that is disabled has nothing to report and stays as it is.
    #[must_use]
    pub fn with_display(mut self, shown: ThinkingDisplay) -> Self {
        if let Self::Adaptive { display } | Self::Budget { display, .. } = &mut self {
            *display = Some(shown);
        }
        self
    }

    pub(crate) fn display(&self) -> Option<&ThinkingDisplay> {
        match self {
            Self::Adaptive { display } | Self::Budget { display, .. } => display.as_ref(),
            Self::Disabled => None,
        }
    }
}
