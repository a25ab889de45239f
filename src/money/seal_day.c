#include "money/seal_verify.h"
void
verify_days(Verify *v, int64 from, int64 to, int64 last)
{
}
