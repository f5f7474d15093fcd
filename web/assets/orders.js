// Orders: each behind a confirmation, a reason and the token.

import { h } from './dom.js';

const KEY = 'vigie-token';

/** Takes the token out of the address, where it came with the first visit, and keeps it for this tab. */
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!found) return;
  sessionStorage.setItem(KEY, found);
  history.replaceState(null, '', location.pathname + location.search);
}
export const hasToken = () => Boolean(sessionStorage.getItem(KEY));

const TEXTS = {
  lock: ['Lock to the baseline', 'Every answer is the baseline until somebody resumes, or until the lock ends by itself. Versions stay where they are.'],
  kill: ['Kill', 'Locks, and rolls back every version that speaks. A resume does not bring them back: each must be validated again.'],
  resume: ['Resume', 'Lifts the lock and the emergencies. Look first at why it was locked.'],
  rollback: ['Roll back', 'Takes this version out of service at once. Only a new validation brings it back.'],
  promote: ['Promote', 'Moves this version one step forward, or up to a state. A gate that is not passed needs an override, which marks the version for ever.'],
};

async function send(body) {
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ''}` };
  const answer = await fetch('/api/order', { method: 'POST', headers, body: JSON.stringify(body) });
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 401) { sessionStorage.removeItem(KEY); throw new Error('The token is missing or wrong. It is in the file that `vigie web` named when it started.'); }
  if (!answer.ok) throw new Error(said.error?.message ?? `the answer was ${answer.status}`);
  return said;
}

/** Asks for confirmation, reason and token, and gives the order. */
export function ask(order, version = null) {
  const [title, text] = TEXTS[order];
  const subject = version ?? order;
  const said = h('p', { role: 'status', class: 'small' });
  const reason = h('input', { name: 'reason', required: true, maxlength: 400, autocomplete: 'off' });
  const confirm = h('input', { name: 'confirm', required: true, autocomplete: 'off', pattern: subject.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&') });
  const token = h('input', { name: 'token', type: 'password', autocomplete: 'off', required: !hasToken() });
  const to = h('select', { name: 'to' }, h('option', { value: '' }, 'one step'),
    ['validated', 'staging', 'ab_test', 'production'].map((state) => h('option', { value: state }, state)));
  // a lock may end by itself
  const lasts = h('select', { name: 'for_s' }, [['', 'until somebody resumes'], ['1800', 'for 30 minutes'], ['3600', 'for an hour'], ['7200', 'for 2 hours'], ['28800', 'for 8 hours'], ['86400', 'for a day']]
    .map(([value, text]) => h('option', { value }, text)));
  const override = h('input', { type: 'checkbox', name: 'override' });
  const go = h('button', { class: order === 'resume' || order === 'promote' ? 'main' : 'danger', type: 'submit', id: 'order-go' }, `${title}${version ? ` ${version}` : ''}`);
  const form = h('form', { method: 'dialog' },
    h('h2', {}, `${title}${version ? ` ${version}` : ''}?`), h('p', {}, text),
    h('label', {}, 'Why? The journal keeps it for ever.', reason),
    order === 'lock' && h('label', {}, 'How long', lasts),
    order === 'promote' && h('label', {}, 'How far', to),
    order === 'promote' && h('label', { class: 'row' }, override, 'override gates that are not passed'),
    h('label', {}, `Type ${subject} to confirm`, confirm),
    !hasToken() && h('label', {}, 'Token', token), said,
    h('div', { class: 'row' }, go, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel')));
  const dialog = h('dialog', { id: 'order', 'aria-label': title }, form);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!hasToken() && token.value) sessionStorage.setItem(KEY, token.value.trim());
    go.disabled = true;
    said.textContent = 'On its way…';
    const body = { order, reason: reason.value, confirm: confirm.value };
    if (version) body.version = version;
    if (order === 'lock' && lasts.value) body.for_s = Number(lasts.value);
    if (order === 'promote' && to.value) body.to = to.value;
    if (order === 'promote' && override.checked) body.override = true;
    try {
      const done = await send(body);
      said.textContent = `${done.done}${done.durable === false ? '; in force, but not on disk yet' : ''}`;
      said.className = 'small good';
      setTimeout(() => dialog.close(), 1200);
    } catch (error) {
      said.textContent = error.message;
      said.className = 'small bad';
      go.disabled = false;
    }
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  reason.focus();
}
