//! From the text of an expression to its tree, by recursive descent; every mistake with its place.
//!
//! From the loosest to the tightest: `or`, `and`, `not`, comparisons (which cannot be chained), `+ -`, `* /`,
//! the sign. Invariant: what is accepted is a condition or a number, known before it is ever worked out.

use std::ops::Range;

use super::{Expression, Extreme, Kind, MAX_DEPTH, One, Two};

/// The longest expression, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The bytes that are meant.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// The tree of `text`, over inputs of these names, and what it gives. An input alone is a number.
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str, inputs: &[&str]) -> Result<(Expression, Kind), SyntaxError> {
    if text.len() > MAX_LENGTH {
        return Err(wrong(0..text.len(), format!("the expression is longer than {MAX_LENGTH} bytes"), None));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, inputs, depth: 0 };
    let part = parser.either()?;
    match parser.peek() {
        Token::End => Ok((part.expression, part.sort.kind())),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

fn wrong(at: Range<usize>, message: impl Into<String>, help: Option<&str>) -> SyntaxError {
    SyntaxError { at, message: message.into(), help: help.map(str::to_owned) }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Number(f64),
    Word(&'a str),
    Sign(&'a str),
    End,
}

/// What a part can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Number,
    Condition,
    /// An input, of which only its values tell.
    Input,
}

impl Sort {
    fn kind(self) -> Kind {
        if self == Self::Condition { Kind::Condition } else { Kind::Number }
    }
}

/// A part with its sort and place.
struct Part {
    expression: Expression,
    sort: Sort,
    at: Range<usize>,
}

/// Two characters before one, so that `<=` is not `<`.
const SIGNS: [&str; 15] = ["<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")", ",", "=", "!"];

fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, SyntaxError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first.is_ascii_digit() {
            let length = number_length(rest);
            let number = rest[..length].parse::<f64>().ok().filter(|number| number.is_finite());
            let number = number.ok_or_else(|| wrong(at..at + length, "the number is too large", None))?;
            (Token::Number(number), length)
        } else if first.is_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Token::Word(&rest[..length]), length)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            let end = at + first.len_utf8();
            let help =
                "use numbers, names of `inputs`, + - * / < <= > >= == != ( ) and or not min max abs if";
            return Err(wrong(at..end, format!("`{first}` has no meaning here"), Some(help)));
        };
        found.push((token, at..at + length));
        at += length;
    }
    found.push((Token::End, text.len()..text.len()));
    Ok(found)
}

/// `12`, `1.5`, `2e-3`.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let from = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if digits(from) > 0 {
            end = from + digits(from);
        }
    }
    end
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token<'a>, Range<usize>)>,
    next: usize,
    inputs: &'a [&'a str],
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.next).map_or(Token::End, |(token, _)| *token)
    }

    fn place(&self) -> Range<usize> {
        let end = self.text.len();
        self.tokens.get(self.next).map_or(end..end, |(_, at)| at.clone())
    }

    fn take(&mut self) -> Range<usize> {
        let at = self.place();
        self.next += 1;
        at
    }

    fn take_if(&mut self, token: Token<'_>) -> bool {
        let found = self.peek() == token;
        self.next += usize::from(found);
        found
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let found = match self.peek() {
            Token::End => "it ends".to_owned(),
            _ => format!("there is `{}`", self.text.get(self.place()).unwrap_or_default()),
        };
        let help = match self.peek() {
            Token::Sign("=") => Some("write == to compare"),
            Token::Sign("!") => Some("write `not` in front of a condition, or !="),
            Token::Sign(",") => Some("numbers have a decimal point: 3.5"),
            Token::Word(_) => Some("put an operator between the two"),
            _ => None,
        };
        wrong(self.place(), format!("{found} where {wanted} should be"), help)
    }

    /// Guards against texts that nest without end.
    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let help = "make a computed point of a part of it";
            return Err(wrong(self.place(), format!("nested more than {MAX_DEPTH} levels"), Some(help)));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn either(&mut self) -> Result<Part, SyntaxError> {
        self.deeper(|this| this.joined("or", Two::Or, |this| this.joined("and", Two::And, Self::negation)))
    }

    fn joined(
        &mut self,
        word: &str,
        what: Two,
        mut part: impl FnMut(&mut Self) -> Result<Part, SyntaxError>,
    ) -> Result<Part, SyntaxError> {
        let mut left = part(self)?;
        let mut count = 0;
        while self.take_if(Token::Word(word)) {
            let right = part(self)?;
            condition(word, &left)?;
            condition(word, &right)?;
            left = join(what, left, right, Sort::Condition);
            self.long(&mut count, &left)?;
        }
        Ok(left)
    }

    /// Chains nest, too: `a + b + c` is `(a + b) + c`.
    fn long(&self, count: &mut usize, part: &Part) -> Result<(), SyntaxError> {
        *count += 1;
        if *count > MAX_DEPTH {
            let help = "use `sum`, or make a computed point of a part of it";
            return Err(wrong(part.at.clone(), format!("more than {MAX_DEPTH} parts in a row"), Some(help)));
        }
        Ok(())
    }

    fn negation(&mut self) -> Result<Part, SyntaxError> {
        if self.peek() != Token::Word("not") {
            return self.comparison();
        }
        let at = self.take();
        let part = self.deeper(Self::negation)?;
        condition("not", &part)?;
        let whole = at.start..part.at.end;
        Ok(Part {
            expression: Expression::One(One::Not, Box::new(part.expression)),
            sort: Sort::Condition,
            at: whole,
        })
    }

    fn comparison(&mut self) -> Result<Part, SyntaxError> {
        let left = self.sum()?;
        let Some(what) = comparison(self.peek()) else { return Ok(left) };
        self.take();
        let right = self.sum()?;
        if comparison(self.peek()).is_some() {
            let help = "write `low < x and x < high`";
            return Err(wrong(self.place(), "comparisons cannot be chained", Some(help)));
        }
        Ok(join(what, left, right, Sort::Condition))
    }

    fn sum(&mut self) -> Result<Part, SyntaxError> {
        self.chain(&[("+", Two::Plus), ("-", Two::Minus)], |this| {
            this.chain(&[("*", Two::Times), ("/", Two::Over)], Self::signed)
        })
    }

    fn chain(
        &mut self,
        signs: &[(&str, Two)],
        mut part: impl FnMut(&mut Self) -> Result<Part, SyntaxError>,
    ) -> Result<Part, SyntaxError> {
        let mut left = part(self)?;
        let mut count = 0;
        while let Some((_, what)) = signs.iter().find(|(sign, _)| self.peek() == Token::Sign(sign)) {
            self.take();
            let right = part(self)?;
            left = join(*what, left, right, Sort::Number);
            self.long(&mut count, &left)?;
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<Part, SyntaxError> {
        if self.peek() != Token::Sign("-") {
            return self.primary();
        }
        let at = self.take();
        let part = self.deeper(Self::signed)?;
        let whole = at.start..part.at.end;
        Ok(Part {
            expression: Expression::One(One::Negative, Box::new(part.expression)),
            sort: Sort::Number,
            at: whole,
        })
    }

    fn primary(&mut self) -> Result<Part, SyntaxError> {
        let token = self.peek();
        let plain = |expression, sort, at| Ok(Part { expression, sort, at });
        match token {
            Token::Number(number) => plain(Expression::Number(number), Sort::Number, self.take()),
            Token::Word("true") => plain(Expression::Number(1.0), Sort::Condition, self.take()),
            Token::Word("false") => plain(Expression::Number(0.0), Sort::Condition, self.take()),
            Token::Sign("(") => {
                let at = self.take();
                let mut inside = self.either()?;
                self.close()?;
                inside.at = at.start..self.before();
                Ok(inside)
            }
            Token::Word(word) if !matches!(word, "and" | "or" | "not") => {
                let at = self.take();
                if self.take_if(Token::Sign("(")) { self.call(word, at) } else { self.input(word, at) }
            }
            _ => Err(self.unexpected("a number, a name or `(`")),
        }
    }

    /// Where the token before ended.
    fn before(&self) -> usize {
        self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |(_, at)| at.end)
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        if self.take_if(Token::Sign(")")) { Ok(()) } else { Err(self.unexpected("`)`")) }
    }

    fn input(&self, word: &str, at: Range<usize>) -> Result<Part, SyntaxError> {
        let Some(place) = self.inputs.iter().position(|input| *input == word) else {
            let help = match self.inputs {
                [] => "name points under `inputs`: { t: press/temperature }".to_owned(),
                known => format!("known are {}; add it under `inputs`", known.join(", ")),
            };
            return Err(wrong(at, format!("there is no input `{word}`"), Some(&help)));
        };
        Ok(Part { expression: Expression::Input(place), sort: Sort::Input, at })
    }

    fn call(&mut self, word: &str, at: Range<usize>) -> Result<Part, SyntaxError> {
        let mut parts = vec![self.either()?];
        while self.take_if(Token::Sign(",")) {
            parts.push(self.either()?);
        }
        self.close()?;
        let at = at.start..self.before();
        let count = parts.len();
        let fits = match word {
            "abs" => count == 1,
            "if" => count == 3,
            "min" | "max" => count >= 1,
            _ => {
                return Err(wrong(
                    at,
                    format!("there is no function `{word}`"),
                    Some("known are min, max, abs and if"),
                ));
            }
        };
        if !fits {
            let help = if word == "if" { "write if(condition, then, otherwise)" } else { "write abs(x)" };
            return Err(wrong(at, format!("`{word}` does not take {count} parts"), Some(help)));
        }
        let mut sort = Sort::Number;
        if word == "if" {
            condition("if", &parts[0])?;
            let both = [parts[1].sort, parts[2].sort];
            if both.contains(&Sort::Condition) {
                if both.contains(&Sort::Number) {
                    let help = "give two numbers, or two conditions";
                    return Err(wrong(at, "`if` gives a number here and a condition there", Some(help)));
                }
                sort = Sort::Condition;
            }
        }
        let mut parts: Vec<Expression> = parts.into_iter().map(|part| part.expression).collect();
        let expression = match (word, parts.len()) {
            ("abs", _) => Expression::One(One::Absolute, Box::new(parts.remove(0))),
            ("min", _) => Expression::Extreme(Extreme::Least, parts),
            ("max", _) => Expression::Extreme(Extreme::Greatest, parts),
            _ => {
                let otherwise = parts.remove(2);
                let then = parts.remove(1);
                Expression::If(Box::new([parts.remove(0), then, otherwise]))
            }
        };
        Ok(Part { expression, sort, at })
    }
}

fn comparison(token: Token<'_>) -> Option<Two> {
    Some(match token {
        Token::Sign("<") => Two::Less,
        Token::Sign("<=") => Two::LessOrEqual,
        Token::Sign(">") => Two::Greater,
        Token::Sign(">=") => Two::GreaterOrEqual,
        Token::Sign("==") => Two::Equal,
        Token::Sign("!=") => Two::NotEqual,
        _ => return None,
    })
}

fn join(what: Two, left: Part, right: Part, sort: Sort) -> Part {
    let at = left.at.start..right.at.end;
    Part {
        expression: Expression::Two(what, Box::new(left.expression), Box::new(right.expression)),
        sort,
        at,
    }
}

/// A number where a condition belongs is a mistake that can be seen before any value is there.
fn condition(word: &str, part: &Part) -> Result<(), SyntaxError> {
    if part.sort != Sort::Number {
        return Ok(());
    }
    let help = "compare the number with something, such as x > 0";
    Err(wrong(part.at.clone(), format!("`{word}` needs a condition here"), Some(help)))
}
