//! The model's structs and their traversal by dfdx.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::Ident;

use crate::{
    ast::plain,
    generics::Generics,
    model::{Model, StageKind},
};

use super::{
    derived, layer, options, root,
    sizes::nest,
    state,
    storage::{exported, stage_type, Storage},
};

/// The model and one tuple struct per stage or field with several layers.
pub(super) fn generate(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let (attributes, visibility, name) = (&model.attributes, &model.visibility, &model.name);
    let fields = storage.iter().map(|storage| {
        let (attributes, stage) = (&storage.stage.attributes, &storage.stage.name);
        let kind = stage_type(storage);
        let documented = attributes.iter().any(|a| a.path().is_ident("doc"));
        let documentation = (!documented).then(|| {
            let text = format!(" Stage `{}`.", plain(stage));
            quote!(#[doc = #text])
        });
        quote! {
            #documentation
            #(#attributes)*
            #visibility #stage: #kind
        }
    });
    let stage_structs = storage
        .iter()
        .filter_map(|storage| Some((storage, storage.layers_struct.as_ref()?)))
        .map(|(storage, layers_struct)| {
            let chain = storage.stage.chain();
            let slots = chain.layers.iter().enumerate().map(|(index, layer)| {
                let kind = layer::storage_type(layer);
                let text = format!(" Layer {index}.");
                quote!(#[doc = #text] #visibility #kind)
            });
            let what = match &storage.stage.kind {
                StageKind::Layers(_) => "The layers of stage",
                StageKind::Ode(_) => "The vector field of stage",
            };
            let text = format!(" {what} `{}` of [`{name}`].", plain(&storage.stage.name));
            let declared = storage.generics.declared();
            let phantom = needs_phantom(storage).then(|| quote!(#root::PhantomData<(Elem, Dev)>,));
            let (generics, count) = (&storage.generics, chain.layers.len());
            let exported = exported(visibility, generics, layers_struct, count);
            quote! {
                #exported

                #[doc = #text]
                #[doc(hidden)]
                #[derive(#root::Clone)]
                #visibility struct #layers_struct<#declared Elem: #root::Dtype = f32, Dev: #root::Device<Elem> = #root::Cpu>(
                    #(#slots,)*
                    #phantom
                );
            }
        });
    let phantom = model_needs_phantom(storage).then(|| {
        quote! {
            #[doc(hidden)]
            __marker: #root::PhantomData<(Elem, Dev)>,
        }
    });
    let documented = attributes.iter().any(|a| a.path().is_ident("doc"));
    let documentation = (!documented).then(|| {
        let text = format!(" The Neural ODE model `{name}`.");
        quote!(#[doc = #text])
    });
    if model.derived.is_some() {
        return quote!(#(#stage_structs)*);
    }
    let declared = model.generics.declared();
    quote! {
        #documentation
        #(#attributes)*
        #visibility struct #name<#declared Elem: #root::Dtype = f32, Dev: #root::Device<Elem> = #root::Cpu> {
            #(#fields,)*
            #phantom
        }
        #(#stage_structs)*
    }
}

/// `TensorCollection` and what dfdx builds on it.
pub(super) fn collections(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let name = &model.name;
    let stages: Vec<&Ident> = storage.iter().map(|storage| &storage.stage.name).collect();
    let fields = stages
        .iter()
        .map(|stage| visit_field(&plain(stage), &quote!(#stage)));
    let bindings = storage.iter().map(|storage| {
        let stage = &storage.stage.name;
        match &storage.stage.kind {
            StageKind::Layers(_) if storage.layers_struct.is_none() => {
                let settings = state::settings(storage, &quote!(#stage));
                with_settings(&quote!(#stage), &quote!(#stage), &settings)
                    .map_or_else(|| quote!(#stage), |built| quote!(#stage: #built))
            }
            StageKind::Layers(_) => quote!(#stage),
            StageKind::Ode(ode) => {
                let declared = options::expression(ode);
                quote!(#stage: #stage.with_options(#declared))
            }
        }
    });
    let marker = (model.derived.is_none() && model_needs_phantom(storage))
        .then(|| quote!(__marker: #root::PhantomData,));
    let skipped = derived::defaults(model);
    let pattern = nest(stages.iter().map(|stage| quote!(#stage)).collect());
    let build = quote!(#name { #(#bindings,)* #skipped #marker });
    let model_collection = collection(
        name,
        &model.generics,
        &nest(fields.collect()),
        &pattern,
        &build,
    );

    let stage_collections = storage
        .iter()
        .filter_map(|storage| Some((storage, storage.layers_struct.as_ref()?)))
        .map(|(storage, layers_struct)| {
            let count = storage.stage.chain().layers.len();
            let fields = (0..count).map(|index| {
                let place = Literal::usize_unsuffixed(index);
                visit_field(&index.to_string(), &quote!(#place))
            });
            let names: Vec<TokenStream> = (0..count)
                .map(|index| format_ident!("layer_{index}"))
                .map(|name| quote!(#name))
                .collect();
            let marker = needs_phantom(storage).then(|| quote!(#root::PhantomData,));
            let build = quote!(#layers_struct(#(#names,)* #marker));
            let settings = state::settings(storage, &quote!(built));
            let build = with_settings(&build, &quote!(built), &settings).unwrap_or(build);
            collection(
                layers_struct,
                &storage.generics,
                &nest(fields.collect()),
                &nest(names),
                &build,
            )
        });
    let (introduced, named) = (model.generics.introduced(), model.generics.named());
    let clause = model.generics.clause();
    quote! {
        #model_collection
        #(#stage_collections)*

        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>, E2: #root::Dtype, D2: #root::Device<E2>>
            #root::BuildOnDevice<D2, E2> for #name<#named Elem, Dev>
        #clause
        {
            type Built = #name<#named E2, D2>;
        }
    }
}

fn needs_phantom(storage: &Storage<'_>) -> bool {
    storage
        .stage
        .chain()
        .layers
        .iter()
        .all(|layer| !layer.kind.has_parameters())
}

/// The layers `built` under the name `name`, with the declared settings; `None` if there are none.
fn with_settings(
    built: &TokenStream,
    name: &TokenStream,
    settings: &TokenStream,
) -> Option<TokenStream> {
    (!settings.is_empty()).then(|| {
        quote!({
            let mut #name = #built;
            #settings
            #name
        })
    })
}

fn visit_field(path: &str, place: &TokenStream) -> TokenStream {
    quote!(Self::module(#path, |this| &this.#place, |this| &mut this.#place))
}

fn collection(
    name: &Ident,
    generics: &Generics,
    fields: &TokenStream,
    pattern: &TokenStream,
    build: &TokenStream,
) -> TokenStream {
    let root = root();
    let (introduced, named) = (generics.introduced(), generics.named());
    let clause = generics.clause();
    let positive = generics.sizes().map(|size| {
        let text = format!("the parameter `{size}` of `{name}` is 0, but sizes are positive");
        quote!(const { ::core::assert!(0 < #size, #text) };)
    });
    quote! {
        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::TensorCollection<Elem, Dev>
            for #name<#named Elem, Dev>
        #clause
        {
            type To<E2: #root::Dtype, D2: #root::Device<E2>> = #name<#named E2, D2>;

            fn iter_tensors<V: #root::ModuleVisitor<Self, Elem, Dev>>(
                visitor: &mut V,
            ) -> #root::Result<#root::Option<Self::To<V::E2, V::D2>>, V::Err> {
                #(#positive)*
                visitor.visit_fields(#fields, |#pattern| #build)
            }
        }
    }
}

/// Whether no field of the model mentions its type parameters.
fn model_needs_phantom(storage: &[Storage<'_>]) -> bool {
    storage
        .iter()
        .all(|storage| storage.layers_struct.is_none() && needs_phantom(storage))
}
