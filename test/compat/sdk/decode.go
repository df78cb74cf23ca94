package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// jsonType is what SDKs take for JSON. application/problem+json is none.
var jsonType = regexp.MustCompile(`(?i)^application/(vnd\.[^;]+\+)?json`)

// errUndefined is what SDKs say of any other type of content.
var errUndefined = errors.New("undefined response type")

// decode reads a body. The rules are those of the strictest SDK that is known:
//
//   - the content must call itself JSON;
//   - numbers must fit their types, so 2^31 is no int32 and 1.5 no integer;
//   - times are of RFC 3339;
//   - a field is required unless its tag has omitempty, and then it may be absent;
//   - null is a value only of fields tagged nullable; elsewhere a program that
//     follows the pointer dies;
//   - an optional text is never empty: for programs, presence means something.
//
// Fields that the type does not know are skipped.
func decode(contentType string, body []byte, out any) error {
	if !jsonType.MatchString(contentType) {
		return errUndefined
	}
	if err := json.Unmarshal(body, out); err != nil {
		return err
	}
	return present(body, reflect.TypeOf(out), "the reply")
}

var timeType = reflect.TypeFor[time.Time]()

// present checks what encoding/json forgives: absence and null.
func present(raw json.RawMessage, of reflect.Type, where string) error {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch {
	case of.Kind() == reflect.Struct && of != timeType:
		return presentFields(raw, of, where)
	case of.Kind() == reflect.Slice && of != reflect.TypeFor[json.RawMessage]():
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		for i, item := range items {
			if err := presentValue(item, of.Elem(), fmt.Sprintf("%s[%d]", where, i)); err != nil {
				return err
			}
		}
	default: // a number, a text, a time or a free form: encoding/json has judged it
	}
	return nil
}

// presentValue is present for a value that may not be null.
func presentValue(raw json.RawMessage, of reflect.Type, where string) error {
	if string(raw) == "null" {
		return fmt.Errorf("%s is null", where)
	}
	return present(raw, of, where)
}

func presentFields(raw json.RawMessage, of reflect.Type, where string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for i := range of.NumField() {
		field := of.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		optional, nullable := options == "omitempty", field.Tag.Get("sdk") == "nullable"
		value, there := fields[name]
		where := where + "." + name
		switch {
		case !there && !optional:
			return fmt.Errorf("%s is missing", where)
		case !there, nullable && string(value) == "null":
			continue
		case optional && string(value) == `""`:
			return fmt.Errorf("%s is there and empty", where)
		}
		if err := presentValue(value, field.Type, where); err != nil {
			return err
		}
	}
	return nil
}
