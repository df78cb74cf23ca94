package arch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLawsBite breaks each law once: a law that finds nothing may just be blind.
func TestLawsBite(t *testing.T) {
	t.Parallel()
	const kafkaFile = "internal/kafka/create.go"
	for name, c := range map[string]struct {
		law  func([]file) []string
		path string
		code string
		want string // empty: the code is lawful
	}{
		"a core imports an upstream":      {importBreaches, kafkaFile, `import _ "` + module + `/internal/upstream/ams"`, "may not import"},
		"a core imports a wire type":      {importBreaches, kafkaFile, `import _ "` + module + `/pkg/api/public"`, "may not import"},
		"a lower core imports a higher":   {importBreaches, "internal/cluster/x.go", `import _ "` + module + `/internal/kafka"`, "may not import"},
		"an upstream imports a domain":    {importBreaches, "internal/upstream/ams/x.go", `import _ "` + module + `/internal/cluster"`, "may not import"},
		"a library nobody agreed on":      {importBreaches, "internal/clock/clock.go", `import _ "example.test/time"`, "may not import"},
		"an unknown package":              {importBreaches, "internal/nobody/x.go", "", "in no room"},
		"what ships imports a test":       {importBreaches, "internal/app/x.go", `import _ "` + module + `/test/agent"`, "only test/..."},
		"a part imports the process":      {importBreaches, "test/agent/x_test.go", `import _ "` + module + `/internal/app"`, "only cmd/*"},
		"a core imports its neighbour":    {importBreaches, kafkaFile, `import _ "` + module + `/internal/cluster"`, ""},
		"an edge imports its core":        {importBreaches, "internal/kafka/kafkahttp/x.go", `import _ "` + module + `/internal/kafka"`, ""},
		"a test imports a database":       {importBreaches, "internal/kafka/x_test.go", `import _ "` + module + `/test/postgres"`, ""},
		"gorm outside a store":            {territoryBreaches, kafkaFile, `import _ "gorm.io/gorm"`, "store*.go"},
		"gorm by a transaction":           {territoryBreaches, "internal/kafka/kafkawork/x.go", "func f(t tx) { t.Gorm().Exec(``) }", "store*.go"},
		"gorm in a store":                 {territoryBreaches, "internal/kafka/store_write.go", `import _ "gorm.io/gorm"`, ""},
		"a collector outside metrics.go":  {territoryBreaches, kafkaFile, `import _ "github.com/prometheus/client_golang/prometheus"`, "metrics.go"},
		"a flag outside config.go":        {territoryBreaches, kafkaFile, `import _ "github.com/spf13/pflag"`, "config.go"},
		"a decision reads the time":       {purityBreaches, "internal/kafka/place.go", `import "time"` + "\nvar x = time.Now()", "does not read it"},
		"a decision takes a context":      {purityBreaches, "internal/kafka/admit.go", `import "context"` + "\nfunc f(context.Context) {}", "pure file"},
		"a work room's file may share it": {purityBreaches, "internal/kafka/kafkawork/retire.go", `import "context"` + "\nfunc f(context.Context) {}", ""},
		"a whole row is saved":            {writeBreaches, "internal/kafka/store.go", "func f(d db) { d.Save(1) }", "every column"},
		"a status by column":              {writeBreaches, kafkaFile, `var c = Columns{"status": 1}`, "by Apply"},
		"a status by index":               {writeBreaches, kafkaFile, `func f(c map[string]int) { c["status"] = 1 }`, "by Apply"},
		"a status by gorm":                {writeBreaches, "internal/kafka/store.go", `func f(d db) { d.Update("status", 1) }`, "by Apply"},
		"a status by SQL":                 {writeBreaches, "internal/cluster/store.go", "const q = `UPDATE clusters SET name = '', status = ?`", "by Apply"},
		"a status as a condition":         {writeBreaches, "internal/cluster/store.go", "const q = `UPDATE clusters SET name = '' WHERE status = ?`", ""},
		"a status by Apply":               {writeBreaches, "internal/kafka/store_write.go", `var c = Columns{"status": 1}`, ""},
		"an empty name":                   {nameBreaches, "internal/util/x.go", "", "says nothing"},
		"an empty name of a file":         {nameBreaches, "internal/kafka/types.go", "", "says nothing"},
		"a long file":                     {lengthBreaches, kafkaFile, strings.Repeat("\n", longest), "lines"},
		"init":                            {initBreaches, kafkaFile, "func init() {}", "no init"},
		"an empty variable":               {variableBreaches, kafkaFile, "var x map[string]int", "born empty"},
		"a variable that changes":         {variableBreaches, kafkaFile, "var x = 1\nfunc f() { x++ }", "while the process runs"},
		"a map that changes":              {variableBreaches, kafkaFile, "var x = map[int]int{}\nfunc f() { x[1] = 2 }", "while the process runs"},
		"a local of the same name":        {variableBreaches, kafkaFile, "var x = 1\nfunc f() { x := 2; x++ }", ""},
		"a table":                         {variableBreaches, kafkaFile, "var x = []int{1}\nfunc f() int { return x[0] }", ""},
		"no head comment":                 {headBreaches, "internal/kafka/x.go", "", "what the package is for"},
	} {
		f, err := parse(c.path, []byte("package x\n"+c.code+"\n"))
		require.NoError(t, err, name)
		found := c.law([]file{f})
		if c.want == "" {
			require.Empty(t, found, name)
			continue
		}
		require.NotEmpty(t, found, name)
		require.Contains(t, strings.Join(found, "\n"), c.want, name)
	}
}
