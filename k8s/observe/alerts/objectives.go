package alerts

import (
	"fmt"
	"strconv"
)

// burn is one pair of windows: the budget burns this many times faster than it may, over the long window and still over the
// short one, so that an alert ends soon after the trouble.
type burn struct {
	factor      float64
	long, short string
	severity    string
	wait        string
}

// At 14.4 times a budget of 30 days loses 2 % in an hour, at 6 times 5 % in six hours, at 3 and 1 times 10 % in one and three days.
var burns = []burn{
	{14.4, "1h", "5m", page, "2m"},
	{6, "6h", "30m", page, "15m"},
	{3, "1d", "2h", ticket, "1h"},
	{1, "3d", "6h", ticket, "3h"},
}

var windows = []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}

// transfers are routes whose time is that of the client's line, and streams; answering them has no objective.
const transfers = `files\\.(upload|archive|thumbnail|content\\.(get|replace))|files\\.versions\\.get|uploads\\.(create|append)|links?\\.(content|open).*|revocations\\.follow|unmatched`

// objectives records how much of each budget is being used, over each window, and alerts when that is too fast.
func objectives() []Group {
	records := Group{Name: "cloakroom-objectives", Interval: "30s"}
	for _, w := range windows {
		records.Rules = append(records.Rules, Rule{
			Record: "cloakroom:errors:ratio_rate" + w,
			// The second operand stands for "none": without it the first error of a new process would be a ratio out of nowhere.
			Expr: fmt.Sprintf(`(
  sum by (namespace) (rate(cloakroom_http_request_duration_seconds_count{listener="gateway", code=~"5.."}[%[1]s]))
  or
  0 * sum by (namespace) (rate(cloakroom_http_request_duration_seconds_count{listener="gateway"}[%[1]s]))
)
/
(sum by (namespace) (rate(cloakroom_http_request_duration_seconds_count{listener="gateway"}[%[1]s])) > 0)`, w),
		}, Rule{
			Record: "cloakroom:slow:ratio_rate" + w,
			Expr: fmt.Sprintf(`1 -
sum by (namespace, service) (rate(cloakroom_http_request_duration_seconds_bucket{listener=~"auth|files", route!~"%[2]s", le=~"<latencySeconds>(\\.0)?"}[%[1]s]))
/
(sum by (namespace, service) (rate(cloakroom_http_request_duration_seconds_count{listener=~"auth|files", route!~"%[2]s"}[%[1]s])) > 0)`, w, transfers),
		})
	}
	burning := Group{Name: "cloakroom-budgets"}
	for _, b := range burns {
		burning.Rules = append(burning.Rules,
			b.alert("CloakroomAvailabilityBurn", "cloakroom:errors:ratio_rate", "<availabilityBudget>",
				"Cloakroom answers {{ $value | humanizePercentage }} of its requests with 5xx."),
			b.alert("CloakroomLatencyBurn", "cloakroom:slow:ratio_rate", "<latencyBudget>",
				"{{ $labels.service }} answers {{ $value | humanizePercentage }} of its requests late."))
	}
	return []Group{records, burning}
}

func (b burn) alert(name, record, budget, summary string) Rule {
	factor := strconv.FormatFloat(b.factor, 'g', -1, 64)
	r := alert(name, b.severity, b.wait, fmt.Sprintf("%[1]s%[2]s > %[4]s * %[5]s\nand\n%[1]s%[3]s > %[4]s * %[5]s",
		record, b.long, b.short, factor, budget), summary)
	r.Labels["window"] = b.long
	return r
}
