//! No stream of tokens makes the macro panic, and every output is one of its two forms.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use crate::{expand, expand_derive};

use super::{DERIVED, MODEL};

/// Marsaglia's xorshift64 with the shifts 13, 7 and 17: the same streams on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end.max(1)
    }
}

/// Words and marks that mean something to the macro, and literals of every kind.
fn odd_tokens() -> Vec<TokenTree> {
    let text = "input field span solver adjoint save_at rtol atol controller Ode Dense Linear Conv2d MaxPool2d AvgPool2d GlobalAvgPool kernel stride padding Flatten Reshape Residual Augment Project Append Pow BatchNorm Dropout Custom momentum epsilon Tsit5 tanh \
        PI End Interpolating struct enum union pub crate self super Self type async r#type where for fn _ \
        , ; : :: => -> = .. ..= ... < > - + * / # ! ? & | $ ~ @ 'a \
        0 1 20 0x10 0b1 1_000 20u32 20usize 1f32 1.5 1e-3 1e400 2. 99999999999999999999999999 1custom \
        \"text\" b\"bytes\" c\"text\" r#\"raw\"# 'c' b'c' true false \
        () [] {} (t, y) [20, tanh] {rtol: 1} (4 => 2) ([{}]) [Dense(2)] (a: 1) (init: _) (a::B<8> => 2) (B<_, 'a>) (4, 20) <2, 8> ::<2> ** y.tanh() (bias = false) ([t, y] => 8) (field(t, y): tanh)";
    let mut tokens: Vec<TokenTree> = text
        .parse::<TokenStream>()
        .expect("tokens")
        .into_iter()
        .collect();
    tokens.push(Literal::f64_suffixed(-1.5).into());
    tokens.push(Literal::i128_suffixed(i128::MIN).into());
    tokens.push(Ident::new_raw("input", Span::call_site()).into());
    tokens.push(Punct::new('\'', Spacing::Joint).into());
    for inner in [
        "",
        "20",
        "-1.5",
        "tanh",
        "a::b",
        "Dense(4 => 2)",
        ", ,",
        "Ode {}",
    ] {
        let inner = inner.parse().expect("tokens");
        tokens.push(Group::new(Delimiter::None, inner).into());
    }
    tokens
}

/// One change somewhere in the stream, at any depth.
fn change(stream: TokenStream, random: &mut Random, odd: &[TokenTree]) -> TokenStream {
    let mut tokens: Vec<TokenTree> = stream.into_iter().collect();
    if tokens.is_empty() {
        return odd[random.below(odd.len())].clone().into();
    }
    let place = random.below(tokens.len());
    if let TokenTree::Group(group) = &tokens[place] {
        // Most tokens are in groups, so most changes are.
        if random.below(8) != 0 {
            let inner = change(group.stream(), random, odd);
            tokens[place] = Group::new(group.delimiter(), inner).into();
            return tokens.into_iter().collect();
        }
    }
    match random.below(7) {
        0 => drop(tokens.remove(place)),
        1 => tokens.insert(place, tokens[place].clone()),
        2 => {
            let other = random.below(tokens.len());
            tokens.swap(place, other);
        }
        3 => tokens.insert(place, odd[random.below(odd.len())].clone()),
        4 => tokens.truncate(place),
        5 => {
            if let TokenTree::Group(group) = &tokens[place] {
                let delimiters = [
                    Delimiter::Parenthesis,
                    Delimiter::Brace,
                    Delimiter::Bracket,
                    Delimiter::None,
                ];
                let delimiter = delimiters[random.below(4)];
                tokens[place] = Group::new(delimiter, group.stream()).into();
            } else {
                let group = Group::new(Delimiter::None, tokens[place].clone().into());
                tokens[place] = group.into();
            }
        }
        _ => tokens[place] = odd[random.below(odd.len())].clone(),
    }
    tokens.into_iter().collect()
}

fn has_word(stream: &TokenStream, word: &str) -> bool {
    stream.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => has_word(&group.stream(), word),
        _ => false,
    })
}

/// Expands `count` streams, each the model with up to eight changes.
fn run(seed: u64, count: usize, source: &str, expand: fn(TokenStream) -> TokenStream) {
    let model: TokenStream = source.parse().expect("tokens");
    let odd = odd_tokens();
    let mut random = Random(seed);
    let (mut right, mut wrong) = (0, 0);
    for index in 0..count {
        let mut stream = model.clone();
        for _ in 0..=random.below(8) {
            stream = change(stream, &mut random, &odd);
        }
        let output = expand(stream);
        let refused = has_word(&output, "compile_error");
        assert!(refused || has_word(&output, "impl"), "{output}");
        if refused {
            wrong += 1;
        } else {
            right += 1;
        }
        if index % 200 == 0 {
            let text = output.to_string();
            assert!(text.parse::<TokenStream>().is_ok(), "{text}");
        }
    }
    // Some changes are harmless, most are not.
    assert!(right > count / 100 && wrong > count / 2, "{right} {wrong}");
}

// Two tests, for two threads.

#[test]
fn no_stream_of_tokens_makes_the_macro_panic() {
    run(0x9e37_79b9_7f4a_7c15, 60_000, MODEL, expand);
}

#[test]
fn no_other_stream_of_tokens_does_either() {
    run(0xd1b5_4a32_d192_ed03, 40_000, MODEL, expand);
    run(0x5851_f42d_4c95_7f2d, 20_000, DERIVED, expand_derive);
}
