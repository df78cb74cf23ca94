'use strict';

// The identity provider sends the browser back here, in the window that the login
// opened. It hands the code to the page that waits for it, and closes.
(() => {
  const waiting = window.opener && window.opener.swaggerUIRedirectOauth2;
  if (!waiting) return;
  const answer = new URLSearchParams(location.search);
  const refuse = (message) => waiting.errCb({authId: waiting.auth.name, source: 'auth', level: 'error', message});
  if (answer.get('state') !== waiting.state) {
    // Somebody else's answer: its code would log in as somebody else.
    refuse('The login was not begun by this page. Try again.');
  } else if (answer.get('code')) {
    delete waiting.state;
    waiting.auth.code = answer.get('code');
    waiting.callback({auth: waiting.auth, redirectUrl: waiting.redirectUrl});
  } else {
    refuse(`The login failed: ${answer.get('error_description') || answer.get('error') || 'there is no code'}`);
  }
  window.close();
})();
