package browser_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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

// What is only an example must not be sent: a second order would come with the key
// of the first and be refused, and a list would show what somebody else searched for.
func TestExamplesOfOptionsAreNotFilledIn(t *testing.T) {
	t.Parallel()
	h, b := harness.New(t, harness.Unequipped()), browser.Open(t)
	open(h, b)
	fields := func(operation string) string {
		return fmt.Sprintf(`Object.fromEntries([...document.querySelectorAll('#operations-%s tr[data-param-name]')].map((row) =>
			[row.dataset.paramName, [...row.querySelectorAll('input, select')].map((field) => field.value).join()]))`, operation)
	}
	empty := map[string]map[string]string{
		"kafkas-getKafkas":            {"page": "", "size": "", "orderBy": "", "search": ""},
		"security-getServiceAccounts": {"page": "", "size": "", "client_id": ""},
		"about-getOpenApi":            {"If-None-Match": ""},
	}
	const order, ranged = "kafkas-createKafka", "metrics-getMetricsByRangeQuery"
	often := chromedp.WithPollingInterval(50 * time.Millisecond) // the page is not painted while nobody looks
	show := func(operation string) {
		block := "#operations-" + operation
		b.Run(chromedp.Click(block+" .opblock-summary-control"), chromedp.Click(block+" .try-out__btn"), chromedp.WaitVisible(block+" .execute"))
	}
	// Fields are filled after they are shown: when those that must be are, the others would be, too.
	show(order)
	b.Run(chromedp.Poll(fields(order)+".async === 'true'", nil, often))
	for _, operation := range append(slices.Sorted(maps.Keys(empty)), ranged) {
		show(operation)
	}
	b.Run(chromedp.Poll(fields(ranged)+".interval === '30'", nil, often))
	filled := func(operation string) (out map[string]string) {
		b.Run(chromedp.Evaluate(fields(operation), &out))
		return out
	}
	for operation, want := range empty {
		require.Equal(t, want, filled(operation), operation)
	}
	require.Equal(t, map[string]string{"async": "true", "Idempotency-Key": ""}, filled(order))
	required := filled(ranged)
	require.Equal(t, "5", required["duration"], "what is required is filled in")
	require.Empty(t, required["filters"])
	var told string
	b.Run(chromedp.Text("#operations-kafkas-createKafka tr[data-param-name='Idempotency-Key'] .parameters-col_description", &told))
	require.Contains(t, told, "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "the example can be read")
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

// The documents that can be chosen on the page.
const (
	forCustomers = iota
	forAgents
	forAdministrators
)

func choose(b *browser.Browser, document int) {
	b.Run(chromedp.Evaluate(fmt.Sprintf(`(() => { const s = document.querySelector('#select'); s.value = s.options[%d].value;
		s.dispatchEvent(new Event('change', {bubbles: true})); })()`, document), nil))
}

// bear enters a token on the page, which shows the customers' document.
func bear(b *browser.Browser, token string) {
	b.Run(
		chromedp.WaitVisible("#operations-kafkas-createKafka"), chromedp.Click(".auth-wrapper .authorize"),
		chromedp.SendKeys(".dialog-ux #auth-bearer-value", token),
		chromedp.Click(".dialog-ux .auth-container:has(#auth-bearer-value) .auth-btn-wrapper .authorize"), chromedp.Click(".dialog-ux .btn-done"),
	)
}

// refusesTo tells who asks for a document that is not theirs what to do.
func refusesTo(t *testing.T, b *browser.Browser, document, status int) {
	t.Helper()
	var hint string
	choose(b, document)
	b.Run(chromedp.WaitVisible(`//h4[text()="Failed to load API definition."]`, chromedp.BySearch), chromedp.WaitVisible("#hint"), chromedp.Text("#hint", &hint))
	require.Contains(t, hint, "enter the token of an administrator")
	refused := b.Complaints()
	require.Len(t, refused, 1)
	require.Contains(t, refused[0], strconv.Itoa(status))
	choose(b, forCustomers)
	b.Run(chromedp.WaitVisible("#operations-kafkas-createKafka"), chromedp.WaitNotVisible("#hint"))
}

func TestATokenOpensTheDocumentOfItsAudience(t *testing.T) {
	t.Parallel()
	h, b := harness.New(t), browser.Open(t)
	open(h, b)
	refusesTo(t, b, forAgents, 401)
	token, err := h.SSO.ClientToken(harness.Realm, "kas-fleetshard-agent-"+harness.ClusterOne)
	require.NoError(t, err)
	bear(b, token)
	refusesTo(t, b, forAdministrators, 404)
	choose(b, forAgents)
	var heading string
	b.Run(chromedp.WaitVisible(`[id$="-getKafkaAgent"]`), chromedp.Text(".info .title", &heading))
	require.Contains(t, heading, "agent API")
	require.Empty(t, b.Complaints())
}

func TestAnAdministratorReadsAllDocumentsAndTriesHisOwn(t *testing.T) {
	t.Parallel()
	h, b := harness.New(t), browser.Open(t)
	h.As(harness.Alice).CreateKafka("hers")
	open(h, b)
	refusesTo(t, b, forAdministrators, 401)
	token, err := h.SSO.UserToken(harness.Reader)
	require.NoError(t, err)
	bear(b, token)
	choose(b, forAgents)
	b.Run(chromedp.WaitVisible(`[id$="-getKafkaAgent"]`), chromedp.WaitNotVisible("#hint"))
	choose(b, forAdministrators)
	const list = "#operations-Admin_APIs-getKafkas"
	var heading, status, body string
	b.Run(
		chromedp.WaitVisible(list), chromedp.Text(".info .title", &heading),
		chromedp.Click(list+" .opblock-summary-control"), chromedp.Click(list+" .try-out__btn"), chromedp.Click(list+" .execute"),
		chromedp.WaitVisible(list+" .live-responses-table"),
		chromedp.Text(list+" .live-responses-table tr.response td.response-col_status", &status),
		chromedp.Text(list+" .live-responses-table tr.response .highlight-code", &body),
	)
	require.Contains(t, heading, "admin API")
	require.Equal(t, "200", strings.Fields(status)[0])
	require.Contains(t, body, `"name": "hers"`)
	require.Contains(t, body, `"account_number": "`+harness.AccountNumber+`"`)
	require.Empty(t, b.Complaints())
	require.Equal(t, []string{hostOf(t, h.Replica(0).URL)}, b.Hosts())
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
