package docshttp

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"

	"github.com/swaggest/swgui/v5/static"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

//go:embed page/*
var own embed.FS

// index is the page itself; everything else is a file beside it.
const index = "index.html"

// file is one file of the page. What the library brings is packed already and
// leaves as it is, so that serving it costs no compression.
type file struct {
	kind   string // Content-Type
	tag    string
	body   []byte
	packed bool // with gzip
	policy string
}

// Files of the library: its name there and its type. Its own page is left out,
// since its script stands inside it, which the policy forbids.
var fromLibrary = [...]struct{ name, kind string }{
	{"swagger-ui.css.gz", "text/css"},
	{"swagger-ui-bundle.js.gz", "text/javascript"},
	{"swagger-ui-standalone-preset.js.gz", "text/javascript"},
	{"favicon-32x32.png", "image/png"},
}

// Our own files.
var fromHere = [...]struct{ name, kind string }{
	{index, "text/html"},
	{"page.css", "text/css"},
	{"page.js", "text/javascript"},
	{"callback.html", "text/html"},
	{"callback.js", "text/javascript"},
}

func readFiles(s Settings) (map[string]*file, error) {
	policy, err := policyOf(s)
	if err != nil {
		return nil, err
	}
	files := map[string]*file{}
	for _, one := range fromLibrary {
		body, err := static.FS.ReadFile(one.name)
		if err != nil {
			return nil, fmt.Errorf("reading a file of the page: %w", err)
		}
		name, packed := one.name, path.Ext(one.name) == ".gz"
		if packed {
			name = name[:len(name)-len(".gz")]
		}
		files[name] = &file{kind: one.kind, tag: tagOf(body), body: body, packed: packed, policy: policy}
	}
	for _, one := range fromHere {
		body, err := own.ReadFile("page/" + one.name)
		if err == nil && one.kind == "text/html" {
			body, err = render(body, s)
		}
		if err != nil {
			return nil, fmt.Errorf("reading a file of the page: %w", err)
		}
		files[one.name] = &file{kind: one.kind, tag: tagOf(body), body: body, policy: policy}
	}
	return files, nil
}

func render(text []byte, s Settings) ([]byte, error) {
	page, err := template.New("page").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, s)
	return out.Bytes(), err
}

// libraryStyle is the one style that the library writes into the page: the colours
// of its mark. The test in a browser sees when a newer library has another one.
const libraryStyle = "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='"

// policyOf allows what the page needs: its own files, calls to this API, and the
// exchange of a code for a token at the identity provider. The style sheet has
// small pictures inside it.
func policyOf(s Settings) (string, error) {
	connect := "'self'"
	if s.ClientID != "" {
		issuer, err := url.Parse(s.Issuer)
		if err != nil {
			return "", fmt.Errorf("reading the issuer's address: %w", err)
		}
		connect += " " + issuer.Scheme + "://" + issuer.Host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self' " + libraryStyle + "; img-src 'self' data:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", nil
}

// GetOpenAPIPage gives the page.
func (p *Public) GetOpenAPIPage(
	ctx context.Context, request public.GetOpenAPIPageRequestObject,
) (public.GetOpenAPIPageResponseObject, error) {
	return p.find(ctx, index, request.Params.IfNoneMatch)
}

// GetOpenAPIPageFile gives a file that the page is made of.
func (p *Public) GetOpenAPIPageFile(
	ctx context.Context, request public.GetOpenAPIPageFileRequestObject,
) (public.GetOpenAPIPageFileResponseObject, error) {
	if request.ID == index { // it has one address
		return nil, noFile(index)
	}
	return p.find(ctx, request.ID, request.Params.IfNoneMatch)
}

func noFile(name string) error {
	return apierr.New(apierr.NotFound, "File with id='"+name+"' not found")
}

func (p *Public) find(ctx context.Context, name, ifNoneMatch string) (*sending, error) {
	files, err := p.files()
	if err != nil {
		return nil, err
	}
	found := files[name]
	if found == nil {
		return nil, noFile(name)
	}
	return &sending{file: found, known: httpx.SameTag(ifNoneMatch, found.tag), unpack: found.packed && !httpx.TakesGzip(ctx)}, nil
}

// sending is one reply with a file.
type sending struct {
	*file

	known  bool // the caller has it
	unpack bool
}

// VisitGetOpenAPIPageResponse writes the reply.
func (s *sending) VisitGetOpenAPIPageResponse(w http.ResponseWriter) error { return s.write(w) }

// VisitGetOpenAPIPageFileResponse writes the reply.
func (s *sending) VisitGetOpenAPIPageFileResponse(w http.ResponseWriter) error { return s.write(w) }

func (s *sending) write(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("ETag", s.tag)
	// A new build changes the files: browsers ask each time, which costs a 304.
	h.Set("Cache-Control", "no-cache")
	if s.packed {
		h.Add("Vary", "Accept-Encoding")
	}
	if s.known {
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", s.kind)
	h.Set("Content-Security-Policy", s.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if s.unpack {
		content, err := gzip.NewReader(bytes.NewReader(s.body))
		if err != nil {
			return fmt.Errorf("unpacking a file of the page: %w", err)
		}
		w.WriteHeader(http.StatusOK)
		_, err = io.Copy(w, content) //nolint:gosec // a file of this very binary, of known size
		return err
	}
	if s.packed {
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(len(s.body)))
	}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(s.body)
	return err
}
