package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// secretWords mark a key whose value the journal must not hold. The verifier is
// a one-time secret of the login by authorization code, as "code" itself is.
var secretWords = []string{"secret", "password", "token", "private_key", "code_verifier"}

func isSecretKey(key string) bool {
	key = strings.ToLower(key)
	for _, word := range secretWords {
		if strings.Contains(key, word) {
			return true
		}
	}
	return key == "code"
}

// redactBody gives the body as text without secrets. A body that cannot be
// parsed is not shown, because nobody can tell what is in it.
func redactBody(contentType string, body []byte) string {
	if len(body) == 0 {
		return ""
	}
	media, _, _ := mime.ParseMediaType(contentType)
	switch {
	case media == "application/x-www-form-urlencoded":
		return redactQuery(string(body))
	case strings.Contains(media, "xml"):
		return string(body)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Sprintf("(%d bytes)", len(body))
	}
	text, err := json.Marshal(redactValue(value))
	if err != nil {
		return fmt.Sprintf("(%d bytes)", len(body))
	}
	return string(text)
}

func redactQuery(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Sprintf("(%d bytes)", len(query))
	}
	for key := range values {
		if isSecretKey(key) {
			values.Set(key, log.Redacted)
		}
	}
	return values.Encode()
}

// redactValue also hides the value of a named parameter, as in
// {"id": "sso-secret", "value": "…"}, where the key itself says nothing.
func redactValue(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = redactValue(v[i])
		}
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && (isSecretKey(key) && text != "" || key == "value" && namesSecret(v)) {
				v[key] = log.Redacted
				continue
			}
			v[key] = redactValue(inner)
		}
	}
	return value
}

func namesSecret(object map[string]any) bool {
	for _, key := range []string{"id", "name", "key", "type"} {
		if name, ok := object[key].(string); ok && isSecretKey(name) {
			return true
		}
	}
	return false
}
