package browser_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/browser"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const page = harness.Base + "/openapi/ui"

func hostOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	return parsed.Host
}

func awaiting(p *runtime.EvaluateParams) *runtime.EvaluateParams {
	return p.WithAwaitPromise(true).WithUserGesture(true)
}

func open(h *harness.World, b *browser.Browser) {
	b.Run(chromedp.Navigate(h.Replica(0).URL+page), chromedp.WaitVisible("#operations-kafkas-createKafka"))
}

func TestThePageOpensByItself(t *testing.T) {
	t.Parallel()
	h, b := harness.New(t, harness.Unequipped()), browser.Open(t)
	open(h, b)
	var title, heading string
	var operations int
	b.Run(chromedp.Title(&title), chromedp.Text(".info .title", &heading), chromedp.Evaluate(`document.querySelectorAll('.opblock').length`, &operations))
	require.Equal(t, "Kafka Fleet Manager API", title)
	require.Contains(t, heading, "Kafka Fleet Manager")
	require.GreaterOrEqual(t, operations, 21)
	require.Empty(t, b.Complaints())
	require.Equal(t, []string{hostOf(t, h.Replica(0).URL)}, b.Hosts(), "nothing from outside")
	// Everything can be opened: a sample that the library cannot make would fail here.
	b.Run(chromedp.Evaluate(`document.querySelectorAll('.opblock:not(.is-open) .opblock-summary-control').forEach(b => b.click())`, nil),
		chromedp.WaitVisible("#operations-errors-getErrorById .responses-wrapper"))
	require.Empty(t, b.Complaints())
}

func TestALoginOnThePageOrdersAKafka(t *testing.T) {
	t.Parallel()
	h, b := harness.New(t), browser.Open(t)
	open(h, b)
	logIn(t, b)
	b.Run(
		chromedp.Click("#operations-kafkas-createKafka .opblock-summary-control"),
		chromedp.Click("#operations-kafkas-createKafka .try-out__btn"),
		chromedp.Click("#operations-kafkas-createKafka .execute"),
		chromedp.WaitVisible("#operations-kafkas-createKafka .live-responses-table"),
	)
	var status string
	b.Run(chromedp.Text("#operations-kafkas-createKafka .live-responses-table tr.response td.response-col_status", &status))
	require.Equal(t, "202", strings.Fields(status)[0])
	list := h.As(harness.Alice).List()
	require.Equal(t, []string{"orders"}, harness.Names(list))
	require.Equal(t, harness.Alice, list.Items[0].Owner)
	h.WaitStatus(list.Items[0].ID, kafka.Ready)
	require.Empty(t, b.Complaints())
	require.ElementsMatch(t, []string{hostOf(t, h.Replica(0).URL), hostOf(t, h.SSO.Issuer(harness.UserRealm))}, b.Hosts())
}

// logIn goes through the window of the identity provider as Alice.
func logIn(t *testing.T, b *browser.Browser) {
	t.Helper()
	const form = ".dialog-ux .auth-container:has(#client_id_authorizationCode) "
	b.Run(chromedp.Click(".auth-wrapper .authorize"), chromedp.WaitVisible(form+"#client_id_authorizationCode"))
	opened := chromedp.WaitNewTarget(b.Context, func(info *target.Info) bool { return strings.Contains(info.URL, "/protocol/openid-connect/auth") })
	b.Run(chromedp.Click(form + ".auth-btn-wrapper .authorize"))
	window, cancel := chromedp.NewContext(b.Context, chromedp.WithTargetID(<-opened))
	defer cancel()
	var address string
	require.NoError(t, chromedp.Run(window, chromedp.Location(&address),
		chromedp.SendKeys(`input[name="username"]`, harness.Alice), chromedp.SendKeys(`input[name="password"]`, harness.Alice)))
	asked, err := url.Parse(address)
	require.NoError(t, err)
	require.Equal(t, "S256", asked.Query().Get("code_challenge_method"), "the code alone is worth nothing")
	require.Equal(t, "openid", asked.Query().Get("scope"))
	// The window closes itself, perhaps before it has answered.
	_ = chromedp.Run(window, chromedp.Click("button"))
	b.Run(chromedp.WaitVisible(`//div[contains(@class,"dialog-ux")]//button[text()="Logout"]`, chromedp.BySearch), chromedp.Click(".dialog-ux .btn-done"))
}

func TestATokenOpensTheDocumentOfItsAudience(t *testing.T) {
	t.Parallel()
	h, b := harness.New(t), browser.Open(t)
	open(h, b)
	choose := func(i int) {
		b.Run(chromedp.Evaluate(fmt.Sprintf(`(() => { const s = document.querySelector('#select'); s.value = s.options[%d].value;
			s.dispatchEvent(new Event('change', {bubbles: true})); })()`, i), nil))
	}
	choose(1)
	b.Run(chromedp.WaitVisible(`//h4[text()="Failed to load API definition."]`, chromedp.BySearch))
	refused := b.Complaints()
	require.Len(t, refused, 1, "a stranger does not get it")
	require.Contains(t, refused[0], "401")

	token, err := h.SSO.ClientToken(harness.Realm, "kas-fleetshard-agent-"+harness.ClusterOne)
	require.NoError(t, err)
	choose(0)
	b.Run(
		chromedp.WaitVisible("#operations-kafkas-createKafka"), chromedp.Click(".auth-wrapper .authorize"),
		chromedp.SendKeys(".dialog-ux #auth-bearer-value", token),
		chromedp.Click(".dialog-ux .auth-container:has(#auth-bearer-value) .auth-btn-wrapper .authorize"), chromedp.Click(".dialog-ux .btn-done"),
	)
	choose(1)
	var heading string
	b.Run(chromedp.WaitVisible(`[id$="-getKafkaAgent"]`), chromedp.Text(".info .title", &heading))
	require.Contains(t, heading, "agent API")
	require.Empty(t, b.Complaints())
}

// A code that belongs to another login must not log anybody in.
func TestTheCallbackTakesItsOwnAnswerOnly(t *testing.T) {
	t.Parallel()
	h, b := harness.New(t, harness.Unequipped()), browser.Open(t)
	open(h, b)
	try := func(query string) (told []string) {
		var out []string
		b.Run(chromedp.Evaluate(`new Promise((done) => {
			const auth = {name: 'Login'};
			window.swaggerUIRedirectOauth2 = {
				state: 'mine', auth, redirectUrl: 'x',
				callback: (got) => done(['took', got.auth.code]),
				errCb: (problem) => done(['refused', problem.message]),
			};
			window.open('`+page+`/callback.html?`+query+`');
		})`, &out, chromedp.EvalAsValue, awaiting))
		return out
	}
	require.Equal(t, []string{"took", "123"}, try("state=mine&code=123"))
	require.Equal(t, []string{"refused", "The login was not begun by this page. Try again."}, try("state=theirs&code=123"))
	require.Equal(t, []string{"refused", "The login was not begun by this page. Try again."}, try("code=123"))
	require.Equal(t, []string{"refused", "The login failed: no"}, try("state=mine&error=access_denied&error_description=no"))
	require.Empty(t, b.Complaints())
	h.Bearing("").Do(http.MethodGet, "/openapi/ui/callback.html", nil).Must(200)
}
