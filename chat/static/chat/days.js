// Date lines between messages, by the calendar of the reader's own time zone. Without scripts the server's (UTC) stay.

const MINUTE_MS = 60_000;
const language = document.documentElement.lang || "en";
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });

export class Days {
  constructor({ list }) {
    this.list = list;
    this.observer = new MutationObserver(() => this.update());
    setInterval(() => this.update(), MINUTE_MS); // a day may end
    this.update();
  }

  update() {
    this.observer.disconnect();
    const wanted = new Map();
    let last = null;
    for (const article of this.list.querySelectorAll("[data-created]")) {
      const date = new Date(article.dataset.created);
      const day = dayOf(date);
      if (day !== last && !Number.isNaN(date.getTime())) wanted.set(article, [day, nameOf(date)]);
      last = day;
    }
    for (const line of this.list.querySelectorAll("[data-day]")) {
      const article = articleAfter(line);
      if (!wanted.has(article) || line.dataset.day !== wanted.get(article).join()) line.remove();
      else wanted.delete(article);
    }
    for (const [article, [day, name]] of wanted) article.before(makeLine(day, name));
    this.observer.observe(this.list, { childList: true });
  }
}

const dayOf = (date) => `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;

function nameOf(date) {
  const midnight = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
  const days = Math.round((midnight(date) - midnight(new Date())) / (24 * 60 * MINUTE_MS));
  if (days > 0 || days < -1) return new Intl.DateTimeFormat(language, { dateStyle: "long" }).format(date);
  const name = relative.format(days, "day");
  return name[0].toUpperCase() + name.slice(1);
}

function articleAfter(line) {
  let next = line.nextElementSibling;
  while (next && !next.matches("[data-created]")) next = next.nextElementSibling;
  return next;
}

function makeLine(day, name) {
  const line = document.createElement("p");
  line.className = "day";
  line.dataset.day = [day, name].join();
  const time = document.createElement("time");
  time.dateTime = day;
  time.textContent = name;
  line.append(time);
  return line;
}
