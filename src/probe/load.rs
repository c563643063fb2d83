//! What the system let a measuring thread have of the processor.

use std::fs;

/// Times of one thread since it began, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// On a processor.
    pub running: u64,
    /// Ready to run, and waiting for one.
    pub waiting: u64,
}

impl CpuTimes {
    /// Those of the calling thread; `None` where the system does not tell.
    #[must_use]
    pub fn of_this_thread() -> Option<Self> {
        parse(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            running: self.running.saturating_add(other.running),
            waiting: self.waiting.saturating_add(other.waiting),
        }
    }

    /// What came on top since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            running: self.running.saturating_sub(earlier.running),
            waiting: self.waiting.saturating_sub(earlier.waiting),
        }
    }
}

/// `running waiting slices`.
fn parse(text: &str) -> Option<CpuTimes> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(CpuTimes {
        running: numbers.next()?.ok()?,
        waiting: numbers.next()?.ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_is_read() {
        let times = parse("123456 789 42\n");
        assert_eq!(
            times,
            Some(CpuTimes {
                running: 123_456,
                waiting: 789
            })
        );
        assert_eq!(parse(""), None);
        assert_eq!(parse("a b c"), None);
    }
}
