//! Breaks lines at the width of a terminal and indents their continuation rows.
//!
//! A terminal itself breaks a long line at its last column and continues in the first one. The text
//! of a line could so be placed, by spaces before it, to look like a line of its own.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// The columns of an empty margin before each continuation row.
const INDENT: usize = 4;
const TAB: usize = 8;

/// Follows the cursor of a terminal through the text that it is sent.
#[derive(Debug, Default)]
pub(crate) struct Wrapper {
    column: usize,
}

impl Wrapper {
    /// Whether the cursor is within a line.
    pub(crate) fn is_in_line(&self) -> bool {
        self.column > 0
    }

    /// Another program, or stderr, has ended the line.
    pub(crate) fn line_ended(&mut self) {
        self.column = 0;
    }

    /// Appends to `rows` the continuation of the text so far, for a terminal that is now `width`
    /// columns wide. Breaks no grapheme cluster that has room in one row. Tabs become spaces, as
    /// the tab stops of the terminal are not known.
    pub(crate) fn push(&mut self, text: &str, width: usize, rows: &mut String) {
        for cluster in text.graphemes(true) {
            match cluster {
                "\n" => {
                    rows.push('\n');
                    self.column = 0;
                }
                "\t" => {
                    let blanks = TAB - self.column % TAB;
                    if self.column + blanks > width {
                        self.break_row(width, rows);
                    } else {
                        rows.extend(std::iter::repeat_n(' ', blanks));
                        self.column += blanks;
                    }
                }
                _ => self.place(cluster, width, rows),
            }
        }
    }

    fn place(&mut self, cluster: &str, width: usize, rows: &mut String) {
        let columns = cluster.chars().map(columns).sum();
        if indent(width) + columns <= width {
            self.make_room(columns, width, rows);
            rows.push_str(cluster);
            self.column += columns;
            return;
        }
        for c in cluster.chars() {
            self.make_room(self::columns(c), width, rows);
            rows.push(c);
            self.column += self::columns(c);
        }
    }

    fn make_room(&mut self, columns: usize, width: usize, rows: &mut String) {
        // A character without a column of its own belongs to the one before it.
        if columns > 0 && self.column + columns > width && self.column > indent(width) {
            self.break_row(width, rows);
        }
    }

    fn break_row(&mut self, width: usize, rows: &mut String) {
        self.column = indent(width);
        rows.push('\n');
        rows.extend(std::iter::repeat_n(' ', self.column));
    }
}

/// The margin of continuation rows. A narrow terminal leaves one column for it.
fn indent(width: usize) -> usize {
    if width > 2 * INDENT { INDENT } else { 1 }
}

/// The most columns that a terminal may give to `c`. Terminals differ; a row that is broken too
/// early is harmless, and one that the terminal breaks itself is not.
fn columns(c: char) -> usize {
    match c {
        ' '..='~' => 1,
        // Invisible, in terminals that know so.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{1160}'..='\u{11ff}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => 1,
        // The same, but wide in others; and the halves of flags.
        '\u{115f}' | '\u{3164}' | '\u{1f1e6}'..='\u{1f1ff}' => 2,
        _ => c.width().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(text: &str, width: usize) -> String {
        let mut rows = String::new();
        Wrapper::default().push(text, width, &mut rows);
        rows
    }

    mod rows {
        use super::*;

        #[test]
        fn continuation_is_indented() {
            assert_eq!(
                wrap("0123456789abcdefgh\nx\n", 10),
                "0123456789\n    abcdef\n    gh\nx\n"
            );
        }

        #[test]
        fn full_row_is_not_continued() {
            assert_eq!(wrap("0123456789\nx\n", 10), "0123456789\nx\n");
        }

        #[test]
        fn padding_cannot_forge_line() {
            for padding in 0..100 {
                let text = format!("ok{}bob: I resign\n", " ".repeat(padding));
                for row in wrap(&text, 20).lines().skip(1) {
                    assert!(row.starts_with("    "), "{padding}: {row:?}");
                }
            }
        }

        #[test]
        fn rows_fit_any_width() {
            let text = "ab\u{4e00}\u{e9}\t\u{1f9d1}\u{200d}\u{1f4bb}e\u{301}\u{3164}x".repeat(20);
            for width in 3..100 {
                for row in wrap(&text, width).lines() {
                    let columns: usize = row.chars().map(columns).sum();
                    assert!(columns <= width, "{width}: {row:?}");
                }
            }
        }

        #[test]
        fn tiny_width_makes_progress() {
            for width in 0..3 {
                let rows = wrap("a\u{4e00}\tb\n", width);
                let text: String = rows.split_whitespace().collect();
                assert_eq!(text, "a\u{4e00}b", "{width}");
            }
        }

        #[test]
        fn width_may_change() {
            let mut wrapper = Wrapper::default();
            let mut rows = String::new();
            wrapper.push("0123456789", 20, &mut rows);
            wrapper.push("a", 9, &mut rows);
            assert_eq!(rows, "0123456789\n    a");
        }
    }

    mod columns {
        use super::*;

        #[test]
        fn wide_characters_take_two() {
            assert_eq!(
                wrap("\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}", 9),
                "\u{4e00}\u{4e00}\u{4e00}\u{4e00}\n    \u{4e00}\u{4e00}"
            );
        }

        #[test]
        fn combining_marks_take_none() {
            let accents = "e\u{301}".repeat(12);
            let expected = format!("{}\n    {}", "e\u{301}".repeat(10), "e\u{301}".repeat(2));
            assert_eq!(wrap(&accents, 10), expected);
        }

        #[test]
        fn clusters_stay_whole() {
            let coder = "\u{1f9d1}\u{200d}\u{1f4bb}";
            assert_eq!(
                wrap(&format!("0123456{coder}"), 10),
                format!("0123456\n    {coder}")
            );
        }

        #[test]
        fn wide_clusters_are_broken() {
            let jamo = "\u{1100}".repeat(8);
            assert_eq!(
                wrap(&jamo, 9),
                "\u{1100}\u{1100}\u{1100}\u{1100}\n    \u{1100}\u{1100}\n    \u{1100}\u{1100}"
            );
        }

        #[test]
        fn tabs_become_spaces() {
            assert_eq!(
                wrap("\ta\tb\n0123456\tx", 20),
                "        a       b\n0123456 x"
            );
            assert_eq!(wrap("0123456789abcdefg\tx", 20), "0123456789abcdefg\n    x");
        }

        #[test]
        fn invisible_characters_are_overestimated() {
            for c in ["\u{3164}", "\u{ad}", "\u{200b}", "\u{1f1e9}"] {
                let text = format!("{}bob: hi", c.repeat(40));
                assert!(!wrap(&text, 20).contains("\nbob"), "{c:?}");
                let rows = wrap(&text, 20);
                assert!(rows.lines().count() > 2, "{c:?}: {rows:?}");
            }
        }
    }

    mod input {
        use super::*;

        #[test]
        fn split_changes_nothing() {
            let text =
                "alice: hi\tthere \u{4e00}\u{4e01}\u{4e02} e\u{301}e\u{301} and so on\nbob: x\n";
            let expected = wrap(text, 12);
            for split in (0..=text.len()).filter(|&split| text.is_char_boundary(split)) {
                let mut wrapper = Wrapper::default();
                let mut rows = String::new();
                wrapper.push(&text[..split], 12, &mut rows);
                wrapper.push(&text[split..], 12, &mut rows);
                assert_eq!(rows, expected, "split at {split}");
            }
        }
    }
}
