// Requests for the next answer of a conversation, each shorter than the one before: without one more of the oldest
// turns, at last with whatever room there is for the answer. Knows no page and no server.

export function* requests(conversation, members, system) {
  for (;;) {
    const messages = conversation.messages(system);
    const body = { ...members, messages, ...(messages.at(-1)?.role === "assistant" ? { continue_final_message: true } : {}) };
    yield body;
    if (conversation.leaveOut()) continue;
    yield { ...body, max_tokens: -1 };
    return;
  }
}
