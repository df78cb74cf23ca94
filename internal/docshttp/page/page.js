'use strict';

// Shows the documents with Swagger UI. A token stays in the memory of this page:
// it is gone with a reload, and goes nowhere but to this service.
(() => {
  const told = (name) => document.querySelector(`meta[name="${name}"]`).content;
  const base = told('api-base');
  const client = told('login-client');
  const customersDocument = `${base}/openapi`;
  const agentsDocument = `${base}/admin/openapi/agents`;
  const administratorsDocument = `${base}/admin/openapi`;
  let page;

  // token gives what was entered or got by logging in, whichever came last.
  const token = () => {
    const authorized = page ? Object.values(page.authSelectors.authorized().toJS()) : [];
    const last = authorized.at(-1);
    return last && (last.token ? last.token.access_token : last.value);
  };

  // clusterOf reads which cluster's agent a token is, if it is one. It is the service that checks it.
  const clusterOf = (text) => {
    try {
      const claims = JSON.parse(atob(text.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
      return /^kas-fleetshard-agent-(.+)$/.exec(claims.clientId)?.[1];
    } catch {
      return undefined;
    }
  };

  const requestInterceptor = (request) => {
    // Without it the exchange of a code for a token needs no preflight.
    delete request.headers?.['X-Requested-With'];
    const held = token();
    if (request.loadSpec && held) {
      request.headers = {...request.headers, Authorization: `Bearer ${held}`};
      const cluster = clusterOf(held);
      if (cluster && request.url.endsWith(agentsDocument)) {
        // Agents are no administrators: each finds the document at its own cluster.
        request.url = request.url.replace(agentsDocument, `${base}/agent-clusters/${encodeURIComponent(cluster)}/openapi`);
      }
    }
    return request;
  };

  // Choosing another document would forget the token with which it is to be read.
  const keepToken = () => ({
    statePlugins: {auth: {wrapActions: {
      restoreAuthorization: (original) => (saved) => (Object.keys(saved.authorized).length > 0 ? original(saved) : undefined),
    }}},
  });

  // A document that is not for the reader leaves an empty page, without the button
  // to authorize: the hint says what to do.
  const hint = document.querySelector('#hint');
  const tellWhatIsMissing = () => ({
    statePlugins: {spec: {wrapActions: {
      updateLoadingStatus: (original, system) => (status) => {
        hint.hidden = status !== 'failed' || system.specSelectors.url().endsWith(customersDocument);
        return original(status);
      },
    }}},
  });

  // asOptions leaves the fields of what need not be sent empty: the library fills
  // examples in, and an order would go out with somebody else's Idempotency-Key. What
  // the field may look like can still be read.
  const asOptions = (parameters) => Object.values(parameters ?? {}).forEach((one) => {
    if (one.required || one.example === undefined) return;
    one.description = `${one.description ?? ''}\n\nSuch as \`${one.example}\``;
    delete one.example;
  });
  const readable = () => ({
    statePlugins: {spec: {wrapActions: {
      updateJsonSpec: (original) => (spec) => {
        const shown = structuredClone(spec);
        asOptions(shown?.components?.parameters);
        for (const path of Object.values(shown?.paths ?? {})) {
          asOptions(path.parameters);
          for (const operation of Object.values(path)) {
            asOptions(operation?.parameters);
            // Tags name the classes of generated clients: most operations have none, but a group here.
            if (operation?.['x-group'] && !operation.tags) operation.tags = [operation['x-group']];
          }
        }
        return original(shown);
      },
    }}},
  });

  page = SwaggerUIBundle({
    dom_id: '#documents',
    urls: [
      {name: 'For customers', url: customersDocument},
      {name: 'For agents of data planes (with the token of one or of an administrator)', url: agentsDocument},
      {name: 'For administrators (with the token of one)', url: administratorsDocument},
    ],
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    plugins: [SwaggerUIBundle.plugins.DownloadUrl, keepToken, tellWhatIsMissing, readable],
    layout: 'StandaloneLayout',
    deepLinking: true,
    displayRequestDuration: true,
    filter: true,
    docExpansion: 'list',
    defaultModelsExpandDepth: 0,
    persistAuthorization: false,
    queryConfigEnabled: false,
    validatorUrl: 'none',
    oauth2RedirectUrl: `${location.origin}${base}/openapi/ui/callback.html`,
    requestInterceptor,
  });
  if (client) {
    page.initOAuth({
      clientId: client,
      scopes: 'openid',
      usePkceWithAuthorizationCodeGrant: true,
    });
  }
})();
