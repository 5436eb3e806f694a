//! `/api/v1/openapi.json`, and the pages that show it without any network: `/docs` to try things, `/redoc` to read.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType},
    },
    web::{self, Path, ServiceConfig},
};
use apidoc::Problem;
use rust_embed::RustEmbed;

/// Scripts come from this server alone. Both pages set styles on their elements, and have icons that are data addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "assets/swagger-ui"]
struct SwaggerUi;

#[derive(RustEmbed)]
#[folder = "assets/redoc"]
struct Redoc;

/// Adds the document and the pages that show it. They describe the API and are no part of it.
pub fn configure(config: &mut ServiceConfig) {
    config
        .route("/api/v1/openapi.json", web::get().to(document))
        .route("/docs", web::get().to(page::<SwaggerUi>))
        .route("/docs/{file}", web::get().to(asset::<SwaggerUi>))
        .route("/redoc", web::get().to(page::<Redoc>))
        .route("/redoc/{file}", web::get().to(asset::<Redoc>));
}

async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(crate::spec_text())
}

async fn page<A: RustEmbed>() -> Result<HttpResponse, Problem> {
    embedded::<A>("index.html")
}

async fn asset<A: RustEmbed>(file: Path<String>) -> Result<HttpResponse, Problem> {
    embedded::<A>(&file)
}

fn embedded<A: RustEmbed>(name: &str) -> Result<HttpResponse, Problem> {
    let media_type = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("png") => "image/png",
        _ => return Err(Problem::of(StatusCode::NOT_FOUND)),
    };
    let file = A::get(name).ok_or_else(|| Problem::of(StatusCode::NOT_FOUND))?;
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .body(file.data))
}
