// Shows the archive of a person's data as soon as it is ready or has failed.

import { refreshWhilePending } from "./refresh.js";

refreshWhilePending(document.querySelector("[data-archive]"), { firstPauseMs: 1000 });
