// Shows the document this server describes itself with.
Redoc.init(
  "/api/v1/openapi.json",
  {
    // The search is done in a worker made of text, which the content security policy does not let in.
    disableSearch: true,
    hideDownloadButton: false,
    nativeScrollbars: true,
    jsonSampleExpandLevel: 3,
  },
  document.getElementById("redoc"),
);
