//! Layers with state: their types and calls, the struct of a model's state, the passes that take it and return it, and
//! vector fields with state.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned, ToTokens};
use syn::{spanned::Spanned, Ident, PathArguments};

use crate::{
    ast::plain,
    generics::Generics,
    model::{
        stateful::{has_kernels, HasState, Stateful, StatefulKind},
        Chain, Layer, LayerKind, Model, Ode, StageKind,
    },
};

use super::{
    conditions,
    forward::{self, Kernels},
    layers, nest, nested_places, options, root, size_value, Storage,
};

/// The type that holds a layer's parameters and settings.
pub(super) fn storage_type(layer: &Layer, stateful: &Stateful) -> TokenStream {
    let root = root();
    match &stateful.kind {
        StatefulKind::Dropout { .. } => quote!(#root::Dropout),
        StatefulKind::BatchNorm { channels, .. } => quote!(#root::BatchNorm<#channels, Elem, Dev>),
        StatefulKind::Custom { path, check, .. } => {
            let checked = checked(layer, path, check);
            quote!(#checked::Itself)
        }
    }
}

/// `<path::Type<.., Elem, Dev> as Checked<..>>`
fn checked(layer: &Layer, path: &syn::Path, check: &Ident) -> TokenStream {
    let root = root();
    let kind = custom_type(path, &quote!(Elem), &quote!(Dev));
    let (taken, produced) = (layer.taken(), layer.produced());
    quote!(<#kind as #root::Checked<{ #check }, #taken, #produced, Elem, Dev>>)
}

/// The user's type for a dtype and a device, all of it at the place of his path.
fn custom_type(path: &syn::Path, dtype: &TokenStream, device: &TokenStream) -> TokenStream {
    let place = path.span();
    let (front, given) = match path.segments.last().map(|last| &last.arguments) {
        Some(PathArguments::AngleBracketed(given)) => {
            let mut front = path.clone();
            if let Some(last) = front.segments.last_mut() {
                last.arguments = PathArguments::None;
            }
            (front, given.args.iter().collect::<Vec<_>>())
        }
        _ => (path.clone(), Vec::new()),
    };
    let arguments = conditions::located_at(quote!(#dtype, #device), place);
    let front = front.into_token_stream();
    let open = quote_spanned!(place.resolved_at(Span::call_site())=> <);
    let close = quote_spanned!(place.resolved_at(Span::call_site())=> >);
    quote!(#front #open #(#given,)* #arguments #close)
}

/// Constants that only layers have, for the user's types of a chain.
fn checks(chain: &Chain, generics: &Generics, constants: &mut TokenStream) {
    let root = root();
    for layer in &chain.layers {
        match &layer.kind {
            LayerKind::Residual(inner) => checks(inner, generics, constants),
            LayerKind::Stateful(Stateful {
                kind:
                    StatefulKind::Custom {
                        path,
                        check,
                        in_field,
                    },
                ..
            }) => {
                let kind = custom_type(path, &quote!(f32), &quote!(#root::Cpu));
                let (taken, produced) = (layer.taken(), layer.produced());
                let named = quote!({ #root::check_name::<#kind>() });
                let function = if *in_field {
                    quote!(check_field_layer)
                } else {
                    quote!(check_layer)
                };
                let called = quote!(#root::#function::<#named, #kind, #taken, #produced>());
                let called = conditions::located_at(called, path.span());
                // A constant outside of the model cannot know its parameters: the compiler checks uses instead.
                let called = if generics.occur_in(&called) {
                    quote!(0)
                } else {
                    called
                };
                constants.extend(quote! {
                    #[doc(hidden)]
                    #[allow(non_upper_case_globals)]
                    const #check: usize = #called;
                });
            }
            _ => {}
        }
    }
}

/// The type of a layer's state.
fn state_type(layer: &Layer, stateful: &Stateful) -> TokenStream {
    let root = root();
    match &stateful.kind {
        StatefulKind::Dropout { .. } => quote!(#root::DropoutState),
        StatefulKind::BatchNorm { channels, .. } => {
            quote!(#root::BatchNormState<#channels, Elem, Dev>)
        }
        StatefulKind::Custom { path, check, .. } => {
            let checked = checked(layer, path, check);
            quote!(#checked::State)
        }
    }
}

/// `<Type as Layer<..>>`
fn as_layer(layer: &Layer, stateful: &Stateful) -> TokenStream {
    let root = root();
    let kind = storage_type(layer, stateful);
    let (taken, produced) = (layer.taken(), layer.produced());
    quote!(<#kind as #root::Layer<#taken, #produced, Elem, Dev>>)
}

/// `let x = ...; next_k = ...;`: calls the layer at the place `this` with `state_k`.
pub(super) fn call(layer: &Layer, stateful: &Stateful, this: &TokenStream) -> TokenStream {
    let root = root();
    let into = layers::meet(&layer.input, &[layer.taken()]);
    let out = layers::meet(&[layer.produced()], &layer.output);
    let as_layer = as_layer(layer, stateful);
    let (state, next) = names(stateful.slot);
    quote! {
        #into
        let (x, next) = #as_layer::try_forward(&#this, #root::Call { t, mode, state: #state }, x)?;
        #next = next;
        #out
    }
}

/// What the state of a slot and the one behind it are called.
fn names(slot: usize) -> (Ident, Ident) {
    (format_ident!("state_{slot}"), format_ident!("next_{slot}"))
}

/// Number of trainable scalars of the layer at the place `this`, as an expression.
pub(super) fn parameters(stateful: &Stateful, this: &TokenStream) -> TokenStream {
    let root = root();
    match &stateful.kind {
        StatefulKind::Dropout { .. } => quote!(0),
        StatefulKind::BatchNorm { channels, .. } => {
            let channels = size_value(channels);
            quote!(2 * #channels)
        }
        StatefulKind::Custom { .. } => quote!(#root::count_parameters::<Elem, Dev, _>(&#this)),
    }
}

/// The part of the summary that says what a layer's state is.
pub(super) fn summary(layer: &Layer, stateful: &Stateful) -> TokenStream {
    let state = state_type(layer, stateful);
    quote!(.state::<#state>())
}

/// A layer with state, and where its parameters are.
struct Leaf<'m> {
    place: TokenStream,
    layer: &'m Layer,
    stateful: &'m Stateful,
}

/// The layers with state of a chain, by slot; the layers of the chain are at the given places.
fn leaves<'m>(chain: &'m Chain, places: &[TokenStream], found: &mut Vec<Leaf<'m>>) {
    for (layer, place) in chain.layers.iter().zip(places) {
        match &layer.kind {
            LayerKind::Residual(inner) => {
                let places = layers::inner_places(place, inner.layers.len());
                leaves(inner, &places, found);
            }
            LayerKind::Stateful(stateful) => found.push(Leaf {
                place: place.clone(),
                layer,
                stateful,
            }),
            _ => {}
        }
    }
}

/// Those of a stage or field that is kept at `this`.
fn leaves_of<'m>(storage: &Storage<'m>, this: &TokenStream) -> Vec<Leaf<'m>> {
    let chain = storage.stage.chain();
    let places: Vec<TokenStream> = (0..chain.layers.len())
        .map(|index| {
            let index = Literal::usize_unsuffixed(index);
            if storage.is_indexed() {
                quote!(#this.#index)
            } else {
                this.clone()
            }
        })
        .collect();
    let mut found = Vec::new();
    leaves(chain, &places, &mut found);
    found
}

/// The type of the state of a stage or field, if it has one.
fn stage_state(storage: &Storage<'_>) -> Option<TokenStream> {
    let leaves = leaves_of(storage, &quote!(self));
    let types = leaves
        .iter()
        .map(|leaf| state_type(leaf.layer, leaf.stateful));
    let types: Vec<TokenStream> = types.collect();
    (!types.is_empty()).then(|| nest(types))
}

/// `let state_k = ...; let next_k;` before the calls of a stage or field whose state is the reference `state`.
pub(super) fn begin(storage: &Storage<'_>, state: &TokenStream) -> TokenStream {
    let count = leaves_of(storage, &quote!(self)).len();
    if count == 0 {
        return TokenStream::new();
    }
    let places = nested_places(count).into_iter().enumerate();
    places
        .map(|(slot, path)| {
            let (name, next) = names(slot);
            let path = path.into_iter().map(Literal::usize_unsuffixed);
            quote!(let #name = &#state #(.#path)*; let #next;)
        })
        .collect()
}

/// The states behind the calls of a stage or field.
fn end(storage: &Storage<'_>) -> Option<TokenStream> {
    let count = leaves_of(storage, &quote!(self)).len();
    let next = (0..count).map(|slot| names(slot).1);
    let next: Vec<TokenStream> = next.map(|next| quote!(#next)).collect();
    (!next.is_empty()).then(|| nest(next))
}

/// `let next_of_STAGE = ...;` behind the calls of a stage.
pub(super) fn finish(storage: &Storage<'_>) -> TokenStream {
    let name = next_of(storage);
    end(storage).map_or_else(TokenStream::new, |end| quote!(let #name = #end;))
}

/// What the state behind a stage is called.
pub(super) fn next_of(storage: &Storage<'_>) -> Ident {
    format_ident!("next_of_{}", plain(&storage.stage.name))
}

/// The initial states of a stage or field that is kept at `this`, given its `seed`.
fn initial(storage: &Storage<'_>, this: &TokenStream) -> TokenStream {
    let root = root();
    let leaves = leaves_of(storage, this);
    let states = (0_u64..).zip(&leaves).map(|(slot, leaf)| {
        let as_layer = as_layer(leaf.layer, leaf.stateful);
        let place = &leaf.place;
        quote!(#as_layer::try_initial_state(&#place, #root::seed_of(seed, #slot))?)
    });
    nest(states.collect())
}

/// Assignments of the declared settings to the layers of a stage or field that is kept at `this`.
pub(super) fn settings(storage: &Storage<'_>, this: &TokenStream) -> TokenStream {
    let leaves = leaves_of(storage, this);
    let settings = leaves.iter().map(|leaf| {
        let place = &leaf.place;
        let given = |name: &str, value: &Option<crate::ast::Value>| {
            let name = format_ident!("{name}");
            value.as_ref().map(|value| {
                let value = options::number(value);
                quote!(#place.#name = #value;)
            })
        };
        match &leaf.stateful.kind {
            StatefulKind::Dropout { probability } => {
                let probability = options::number(probability);
                quote!(#place.probability = #probability;)
            }
            StatefulKind::BatchNorm {
                momentum, epsilon, ..
            } => {
                let momentum = given("momentum", momentum);
                let epsilon = given("epsilon", epsilon);
                quote!(#momentum #epsilon)
            }
            StatefulKind::Custom { .. } => TokenStream::new(),
        }
    });
    settings.collect()
}

/// Assignments of the settings of another model's layers to those of this one.
pub(super) fn copied_settings(storage: &Storage<'_>) -> TokenStream {
    let stage = &storage.stage.name;
    let behind = match storage.stage.kind {
        StageKind::Ode(_) => quote!(.field),
        StageKind::Layers(_) => TokenStream::new(),
    };
    let to = leaves_of(storage, &quote!(self.#stage #behind));
    let from = leaves_of(storage, &quote!(other.#stage #behind));
    let copies = to.iter().zip(&from).map(|(to, from)| {
        let (to_place, from_place) = (&to.place, &from.place);
        let names: &[&str] = match to.stateful.kind {
            StatefulKind::Dropout { .. } => &["probability"],
            StatefulKind::BatchNorm { .. } => &["momentum", "epsilon"],
            StatefulKind::Custom { .. } => &[],
        };
        let names = names.iter().map(|name| format_ident!("{name}"));
        quote!(#(#to_place.#names = #from_place.#names;)*)
    });
    copies.collect()
}

/// The name of the struct of a model's state.
pub(super) fn struct_name(model: &Model) -> Ident {
    Ident::new(&format!("{}State", plain(&model.name)), Span::call_site())
}

/// The stages that have state.
fn with_state<'s, 'm>(storage: &'s [Storage<'m>]) -> impl Iterator<Item = &'s Storage<'m>> {
    let has_state =
        |storage: &&Storage<'_>| HasState::of_chain(storage.stage.chain()) > HasState::No;
    storage.iter().filter(has_state)
}

/// Whether no state of the model mentions its type parameters.
fn needs_phantom(storage: &[Storage<'_>]) -> bool {
    let mut leaves = storage
        .iter()
        .flat_map(|storage| leaves_of(storage, &quote!(self)));
    leaves.all(|leaf| matches!(leaf.stateful.kind, StatefulKind::Dropout { .. }))
}

/// The struct of a model's state.
pub(super) fn state_struct(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    if HasState::of(model) == HasState::No {
        return TokenStream::new();
    }
    let root = root();
    let (visibility, model_name, name) = (&model.visibility, &model.name, struct_name(model));
    let fields = with_state(storage).map(|storage| {
        let stage = &storage.stage.name;
        let kind = stage_state(storage);
        let text = format!(" State of stage `{}`.", plain(stage));
        quote!(#[doc = #text] #visibility #stage: #kind)
    });
    let marker = needs_phantom(storage).then(|| {
        quote! {
            #[doc(hidden)]
            __marker: #root::PhantomData<(Elem, Dev)>,
        }
    });
    let text = format!(
        " The state of [`{model_name}`]: what goes into a call and comes out of it, for each stage the states of its \
         layers in their order."
    );
    let declared = model.generics.constants().declared();
    let mut constants = TokenStream::new();
    for stage in &model.stages {
        checks(stage.chain(), &model.generics, &mut constants);
    }
    quote! {
        #constants

        #[doc = #text]
        #[derive(#root::Clone, #root::Debug)]
        #visibility struct #name<#declared Elem: #root::Dtype = f32, Dev: #root::Device<Elem> = #root::Cpu> {
            #(#fields,)*
            #marker
        }
    }
}

/// The methods of a model with state: the initial state, the passes with state, and, where states may be empty, those
/// without.
pub(super) fn methods(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let name = struct_name(model);
    let named = model.generics.constants().named();
    let marker = needs_phantom(storage).then(|| quote!(__marker: #root::PhantomData,));
    let stages: Vec<&Ident> = with_state(storage)
        .map(|storage| &storage.stage.name)
        .collect();
    let initial = (0_u64..).zip(with_state(storage)).map(|(index, storage)| {
        let stage = &storage.stage.name;
        let place = storage.place();
        let value = match storage.stage.kind {
            StageKind::Layers(_) => initial(storage, &place),
            StageKind::Ode(_) => {
                quote!(#root::StatefulField::try_initial_state(&#place.field, seed)?)
            }
        };
        quote!(#stage: {
            let seed = #root::seed_of(seed, #index);
            #value
        })
    });
    let next = with_state(storage).map(next_of);
    let build = quote!(#name { #(#stages: #next,)* #marker });
    let passes = forward::with_state(model, storage, &build);
    let plain = match HasState::of(model) {
        HasState::Perhaps => forward::without_state(model, &name),
        HasState::Surely | HasState::No => TokenStream::new(),
    };
    quote! {
        /// The state before the first call; random numbers will come from `seed`.
        ///
        /// # Errors
        /// That of the device.
        pub fn initial_state(&self, seed: u64) -> #root::Result<#name<#named Elem, Dev>, #root::SolveError> {
            #root::Ok(#name {
                #(#initial,)*
                #marker
            })
        }

        #passes
        #plain
    }
}

/// Implementations for the struct of a model's state, and what is asked of it.
pub(super) fn items(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let has_state = HasState::of(model);
    if has_state == HasState::No {
        return TokenStream::new();
    }
    let root = root();
    let name = struct_name(model);
    let stages: Vec<&Ident> = with_state(storage)
        .map(|storage| &storage.stage.name)
        .collect();
    let types: Vec<TokenStream> = with_state(storage).filter_map(stage_state).collect();
    let generics = model.generics.constants();
    let (introduced, named) = (generics.introduced(), generics.named());
    let stateless = (has_state == HasState::Perhaps).then(|| {
        quote! {
            #[automatically_derived]
            impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::Stateless
                for #name<#named Elem, Dev>
            where
                #(#types: #root::Stateless,)*
            {
                fn none() -> Self {
                    Self { #(#stages: #root::Stateless::none(),)* }
                }
            }
        }
    });
    let fields = with_state(storage).filter_map(|storage| match storage.stage.kind {
        StageKind::Ode(_) => storage.layers_struct.as_ref(),
        StageKind::Layers(_) => None,
    });
    let sendable = core::iter::once(&name).chain(fields).map(|name| {
        let named = quote!(#name<#named f32, #root::Cpu>);
        if generics.parameters.is_empty() {
            return quote!(const _: fn() = #root::assert_sendable::<#named>;);
        }
        let check = format_ident!("__{name}IsSendable");
        quote! {
            #[allow(non_snake_case)]
            fn #check<#introduced>() {
                #root::assert_sendable::<#named>();
            }
        }
    });
    quote! {
        #stateless
        #(#sendable)*
    }
}

/// A vector field with state.
pub(super) fn vector_field(storage: &Storage<'_>, ode: &Ode) -> TokenStream {
    let root = root();
    let field = &storage.layers_struct;
    let state = &ode.features();
    let (calls, tensor) = forward::field_calls(storage, ode);
    let (introduced, named) = (storage.generics.introduced(), storage.generics.named());
    let kind = stage_state(storage);
    let initial = initial(storage, &quote!(self));
    let begin = begin(storage, &quote!((*state)));
    let end = end(storage);
    let stateless = (HasState::of_chain(&ode.field) == HasState::Perhaps).then(|| {
        quote! {
            #[automatically_derived]
            impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::TensorField<#state, Elem, Dev>
                for #field<#named Elem, Dev>
            where
                #kind: #root::Stateless,
            {
                fn try_eval<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
                    &self,
                    t: f64,
                    x: #tensor,
                ) -> #root::Result<#tensor, #root::SolveError> {
                    let state = #root::Stateless::none();
                    let evaluated = #root::StatefulField::try_eval_with_state(
                        self,
                        t,
                        #root::Mode::Inference,
                        &state,
                        x,
                    );
                    evaluated.map(|(x, _)| x)
                }
            }
        }
    });
    let kernels = has_kernels(&ode.field).then(|| Kernels::of(storage, ode));
    let (items, members) = kernels.map_or_else(Default::default, |kernels| {
        let leaves = leaves_of(storage, &quote!(self));
        let places = leaves.iter().map(|leaf| &leaf.place);
        let check = quote! {
            fn check_settings(&self) -> #root::Result<(), #root::SolveError> {
                #(#root::Dropout::check_settings(#places)?;)*
                #root::Ok(())
            }
        };
        let Kernels { items, members } = kernels;
        (items, quote!(#members #check))
    });
    quote! {
        #items

        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::StatefulField<#state, Elem, Dev>
            for #field<#named Elem, Dev>
        {
            type State = #kind;

            #members

            fn try_initial_state(&self, seed: u64) -> #root::Result<Self::State, #root::SolveError> {
                #root::Ok(#initial)
            }

            fn try_eval_with_state<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
                &self,
                t: f64,
                mode: #root::Mode,
                state: &Self::State,
                x: #tensor,
            ) -> #root::Result<(#tensor, Self::State), #root::SolveError> {
                let (batch, ..) = *#root::HasShape::shape(&x);
                let _ = (t, batch);
                #begin
                #calls
                #root::Ok((x, #end))
            }
        }

        #stateless
    }
}
