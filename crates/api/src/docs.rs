//! `/api/v1/openapi.json`, and `/docs`, which shows it without any network.

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

/// Scripts come from this server alone. Swagger UI sets styles on its elements, and its icons are data addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "assets/swagger-ui"]
struct Assets;

/// Adds the document and the page that shows it. They describe the API and are no part of it.
pub fn configure(config: &mut ServiceConfig) {
    config
        .route("/api/v1/openapi.json", web::get().to(document))
        .route("/docs", web::get().to(page))
        .route("/docs/{file}", web::get().to(asset));
}

async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(crate::spec_text())
}

async fn page() -> Result<HttpResponse, Problem> {
    embedded("index.html")
}

async fn asset(file: Path<String>) -> Result<HttpResponse, Problem> {
    embedded(&file)
}

fn embedded(name: &str) -> Result<HttpResponse, Problem> {
    let media_type = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("png") => "image/png",
        _ => return Err(Problem::of(StatusCode::NOT_FOUND)),
    };
    let file = Assets::get(name).ok_or_else(|| Problem::of(StatusCode::NOT_FOUND))?;
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .body(file.data))
}
