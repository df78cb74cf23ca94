// What the specifications are held to, beyond what the tests in openapi/ demand. The
// rules of the library that are not here are off, the last ones with the reason.
export const rules = {
  // It must be OpenAPI, and every reference must lead somewhere.
  'struct': 'error',
  'no-unresolved-refs': 'error',
  'no-unused-components': 'error',
  'no-invalid-schema-examples': 'error',
  'no-invalid-media-type-examples': 'error',
  'no-invalid-parameter-examples': 'error',
  'no-example-value-and-externalValue': 'error',
  'no-enum-type-mismatch': 'error',
  'no-required-schema-properties-undefined': 'error',
  'no-schema-type-mismatch': 'error',

  // Paths and parameters.
  'no-ambiguous-paths': 'error',
  'no-identical-paths': 'error',
  'no-path-trailing-slash': 'error',
  'path-not-include-query': 'error',
  'path-declaration-must-exist': 'error',
  'path-parameters-defined': 'error',
  'operation-parameters-unique': 'error',
  'parameter-description': 'error',

  // Operations.
  'operation-operationId': 'error',
  'operation-operationId-unique': 'error',
  'operation-operationId-url-safe': 'error',
  'operation-summary': 'error',
  'operation-2xx-response': 'error',
  'operation-4xx-response': 'error',
  'operation-singular-tag': 'error',
  'tag-description': 'error',
  'no-http-verbs-in-paths': 'error',
  'security-defined': 'error',
  'response-contains-header': ['error', {names: {429: ['Retry-After'], 503: ['Retry-After'], 304: ['ETag']}}],

  // The document.
  'info-license': 'error',
  'info-license-url': 'error',
  'no-empty-servers': 'error',
  'no-server-trailing-slash': 'off', // "/" is the host that served the document
  'no-server-example.com': 'error',
  'no-server-variables-empty-enum': 'error',
  'no-undefined-server-variable': 'error',

  // Off for good: clients know these names and shapes, which are older than the rules.
  'paths-kebab-case': 'off', // /service_accounts
  'path-segment-plural': 'off',
  'boolean-parameter-prefixes': 'off',
  'operation-description': 'off', // the summary often says it all
};
