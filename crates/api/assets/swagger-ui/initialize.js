// Shows the document this server describes itself with.
SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  // The validator badge would ask a server elsewhere.
  validatorUrl: null,
});
