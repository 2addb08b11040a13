//! Tables of the names that PyTorch's libraries have for the tensors of a network of stages and blocks.

/// From the number of a stage to a name.
type OfStage = fn(usize) -> String;

/// The names of a library for the tensors of a network whose blocks are `stages.I.blocks.J`. A name stands
/// for the beginning of a path, up to a dot or its end.
pub(crate) struct Names {
    /// Outside of the stages.
    pub outside: &'static [(&'static str, &'static str)],
    /// In a stage and outside of its blocks.
    pub between: &'static [(&'static str, OfStage)],
    /// A block: from the numbers of its stage and of the block.
    pub block: fn(usize, usize) -> String,
    /// In a block.
    pub inside: &'static [(&'static str, &'static str)],
}

impl Names {
    /// The library's name for a path.
    pub(crate) fn of(&self, path: &str) -> String {
        self.of_stage(path)
            .unwrap_or_else(|| renamed(path, self.outside))
    }

    /// The library's name for a path; all but the head's begin with `body`.
    pub(crate) fn with_body(&self, path: &str, body: &str) -> String {
        let body = if path.starts_with("head.") { "" } else { body };
        format!("{body}{}", self.of(path))
    }

    fn of_stage(&self, path: &str) -> Option<String> {
        let (stage, rest) = numbered(path.strip_prefix("stages.")?)?;
        let Some(block) = rest.strip_prefix("blocks.") else {
            let mut names = self.between.iter();
            return names.find_map(|(from, to)| {
                let tail = tail(rest, from)?;
                Some(format!("{}{tail}", to(stage)))
            });
        };
        let (number, rest) = numbered(block)?;
        let rest = renamed(rest, self.inside);
        Some(format!("{}.{rest}", (self.block)(stage, number)))
    }
}

/// Replaces the beginning of a path by the first pair of `names` that matches: with
/// `("stem", "features.0")`, `stem.weight` becomes `features.0.weight`.
pub(crate) fn renamed(path: &str, names: &[(&str, &str)]) -> String {
    let of = |(from, to): &(&str, &str)| Some(format!("{to}{}", tail(path, from)?));
    names.iter().find_map(of).unwrap_or_else(|| path.to_owned())
}

/// What follows `beginning` in a path, if it ends there or at a dot.
fn tail<'a>(path: &'a str, beginning: &str) -> Option<&'a str> {
    let tail = path.strip_prefix(beginning)?;
    (tail.is_empty() || tail.starts_with('.')).then_some(tail)
}

/// Splits off the number that a path begins with.
pub(crate) fn numbered(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.split_once('.')?;
    Some((number.parse().ok()?, rest))
}
