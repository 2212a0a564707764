//! Generates messages, clients and servers from `proto/`, and for each rpc with `option (cancellable) = true` a client method
//! that takes a [`Call`](../src/call.rs): who may abort it and by when it must be answered.

use protox::prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};
use std::{
    env,
    error::Error,
    fmt::{self, Write as _},
    fs,
    path::PathBuf,
};

const FILES: [&str; 2] = ["group0/v1/admin.proto", "group0/v1/peer.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto"); // protox does not print it
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    // `file_descriptor_set` has lost the option, as prost-types drops unknown fields; the pool keeps it.
    let code = cancellable_methods(&compiler.descriptor_pool())?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("cancellable.rs"), code)?;
    tonic_prost_build::configure().bytes(".").compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn cancellable_methods(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let option = pool.get_extension_by_name("group0.v1.cancellable").ok_or("options.proto does not define cancellable")?;
    let mut code = String::new();
    for service in pool.services() {
        let methods: Vec<_> =
            service.methods().filter(|method| method.options().get_extension(&option).as_bool() == Some(true)).collect();
        if !methods.is_empty() {
            write_service(&mut code, &service, &methods)?;
        }
    }
    Ok(code)
}

/// The bounds are those of the generated client.
fn write_service(code: &mut String, service: &ServiceDescriptor, methods: &[MethodDescriptor]) -> fmt::Result {
    let (module, name) = (snake(service.name()), service.name());
    writeln!(
        code,
        "impl<T> {module}_client::{name}Client<T>
where
    T: tonic::client::GrpcService<tonic::body::Body>,
    T::Error: Into<tonic::codegen::StdError>,
    T::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <T::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
{{"
    )?;
    methods.iter().try_for_each(|method| write_method(code, method))?;
    writeln!(code, "}}")
}

fn write_method(code: &mut String, method: &MethodDescriptor) -> fmt::Result {
    assert!(!method.is_client_streaming(), "{}: only one request can be cancelled, not a stream of them", method.full_name());
    let (verb, name, input, output) = (method.name(), snake(method.name()), method.input(), method.output());
    let (input, output) = (input.name(), output.name());
    let (output, function) =
        if method.is_server_streaming() { (format!("crate::Answers<{output}>"), "stream") } else { (output.to_owned(), "unary") };
    writeln!(
        code,
        "    /// `{verb}`, until `call` is aborted or its deadline passes.
    pub async fn {name}_with_abort(&mut self, request: {input}, call: &crate::Call) -> Result<{output}, crate::CallError> {{
        crate::call::{function}(call, request, async |request| self.{name}(request).await).await
    }}"
    )
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (position, letter) in name.char_indices() {
        if letter.is_uppercase() && position > 0 {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
